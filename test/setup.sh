#!/usr/bin/env bash
# Installs what `make test` needs beside Go, or says exactly what is missing and fails.
#
# Debian packages (PostgreSQL server, Chromium, CJK fonts, a C compiler for the race detector)
# are installed when this runs as root; npm and Python packages go to test/node_modules,
# examples/node-web/node_modules and .cache/venv, with the versions that the lock file and the
# requirements pin.
set -euo pipefail
cd "$(dirname "$0")/.."

missing=()
debian=()

have() { command -v "$1" >/dev/null 2>&1; }
postgres_server() { compgen -G '/usr/lib/postgresql/*/bin/initdb' >/dev/null || have initdb; }
cjk_font() { have fc-list && [ -n "$(fc-list :lang=ko 2>/dev/null | head -1)" ]; }
python_venv() { have python3 && python3 -c 'import venv, ensurepip, sqlite3' 2>/dev/null; }
browser() { have "${CHROMIUM:-chromium}"; }

need() { # need CHECK DEBIAN-PACKAGES WHAT-FOR
	"$1" || debian+=("$2|$1|$3")
}
need postgres_server "postgresql" "PostgreSQL server programs (initdb, pg_ctl): every store test runs on both engines"
need browser "chromium" "Chromium: browser journeys (another path: CHROMIUM=/path/to/chromium)"
need cjk_font "fonts-noto-cjk fontconfig" "a font with Korean: pictures of the Korean pages"
need python_venv "python3 python3-venv" "Python 3 with venv and sqlite3: Flask examples, Authlib"
gcc_there() { have gcc; }
need gcc_there "gcc libc6-dev" "a C compiler: the race detector"
setpriv_there() { have setpriv || [ "$(id -u)" != 0 ]; }
need setpriv_there "util-linux" "setpriv: PostgreSQL refuses to run as root"

if [ ${#debian[@]} -gt 0 ] && [ "$(id -u)" = 0 ] && have apt-get; then
	packages=()
	for entry in "${debian[@]}"; do
		read -ra names <<<"${entry%%|*}"
		packages+=("${names[@]}")
	done
	echo "installing Debian packages: ${packages[*]}"
	log=$(mktemp)
	if ! {
		DEBIAN_FRONTEND=noninteractive apt-get update -q &&
			DEBIAN_FRONTEND=noninteractive apt-get install -q -y --no-install-recommends "${packages[@]}"
	} >"$log" 2>&1 </dev/null; then
		tail -20 "$log" >&2
	fi
	rm -f "$log"
fi
for entry in "${debian[@]}"; do
	IFS='|' read -r packages check why <<<"$entry"
	"$check" || missing+=("$why. On Debian: apt-get install $packages")
done

have go || missing+=("Go 1.26 or newer")
have git || missing+=("git")
have curl || missing+=("curl")
if ! have node || [ "$(node -p 'parseInt(process.versions.node)')" -lt 20 ]; then
	missing+=("Node.js 20 or newer: browser journeys, openid-client")
fi
have npm || missing+=("npm: playwright-core, axe-core, openid-client")

if [ ${#missing[@]} -gt 0 ]; then
	echo "The tests cannot run; missing:" >&2
	printf '  - %s\n' "${missing[@]}" >&2
	exit 1
fi

# npm and Python packages, again only when their pins changed.
node_packages() {
	local stamp=$1/node_modules/.signet-lock
	cmp -s "$1/package-lock.json" "$stamp" && return
	echo "npm packages for $1"
	npm ci --prefix "$1" --silent --no-audit --no-fund --ignore-scripts </dev/null ||
		{ echo "npm could not install the packages of $1/package-lock.json" >&2; exit 1; }
	cp "$1/package-lock.json" "$stamp"
}
node_packages test
node_packages examples/node-web

mkdir -p .cache
wanted=$(sort -u examples/*/requirements.txt)
if [ "$(cat .cache/venv/signet-requirements 2>/dev/null)" != "$wanted" ]; then
	echo "Python packages in .cache/venv"
	python3 -m venv --clear .cache/venv
	.cache/venv/bin/pip install --quiet --disable-pip-version-check -r <(printf '%s\n' "$wanted") </dev/null ||
		{ echo "pip could not install: $wanted" >&2; exit 1; }
	printf '%s\n' "$wanted" >.cache/venv/signet-requirements
fi

echo "go:       $(go env GOVERSION)"
echo "node:     $(node --version)"
echo "python:   $(.cache/venv/bin/python --version | cut -d' ' -f2)"
echo "chromium: $("${CHROMIUM:-chromium}" --version 2>/dev/null | head -1)"
echo "postgres: $("$(compgen -G '/usr/lib/postgresql/*/bin/postgres' | sort -V | tail -1 || command -v postgres)" --version)"
