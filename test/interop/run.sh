#!/usr/bin/env bash
# Real clients, each doing its whole flows against the real server. Installs what they need, prints
# a line per client and flow, and writes docs/interop.md from what happened (with CI set it only
# checks that the page says so).
#   test/interop/run.sh                      all of them
#   test/interop/run.sh quick                those of `make test`; slow: the others
#   test/interop/run.sh authlib go-oidc      some
set -euo pipefail
cd "$(dirname "$0")/../.."

quick=(openid-client oauth4webapi oidc-client-ts mcp authlib go-oidc)
slow=(spring rust mod-auth-openidc)
clients=()
for arg in "${@:-quick slow}"; do
	for name in $arg; do
		case $name in
		quick) clients+=("${quick[@]}") ;;
		slow) clients+=("${slow[@]}") ;;
		*) clients+=("$name") ;;
		esac
	done
done

cache=$PWD/.cache/interop
mkdir -p "$cache"
export SIGNET_BIN=${SIGNET_BIN:-$PWD/bin/signet}
have() { command -v "$1" >/dev/null 2>&1; }
die() {
	printf '%s\n' "$@" >&2
	exit 1
}

# debian PACKAGES…: installs them when this runs as root, or says what is missing.
debian() {
	local log="$cache/apt.log"
	if [ "$(id -u)" != 0 ] || ! have apt-get; then
		die "missing; on Debian: apt-get install $*"
	fi
	echo "installing Debian packages: $*"
	{
		DEBIAN_FRONTEND=noninteractive apt-get update -q &&
			DEBIAN_FRONTEND=noninteractive apt-get install -q -y --no-install-recommends "$@"
	} >"$log" 2>&1 </dev/null || die "$(tail -20 "$log")" "apt-get could not install $*"
}

# once NAME FILES… -- COMMAND…: runs the command again only when a file has changed.
once() {
	local stamp="$cache/$1.stamp" files=()
	shift
	while [ "$1" != -- ]; do
		files+=("$1")
		shift
	done
	shift
	local now
	now=$(cat "${files[@]}" | sha256sum)
	if [ "$(cat "$stamp" 2>/dev/null)" != "$now" ]; then
		"$@"
		echo "$now" >"$stamp"
	fi
}

node_packages() {
	echo "npm packages for $1"
	npm ci --prefix "test/interop/$1" --silent --no-audit --no-fund --ignore-scripts </dev/null || die "npm could not install the packages of $1"
}

python_packages() {
	echo "Python packages for authlib"
	python3 -m venv --clear "$cache/venv"
	"$cache/venv/bin/pip" install --quiet --disable-pip-version-check -r test/interop/authlib/requirements.txt </dev/null
}

spring_build() {
	echo "building the Spring application"
	rm -rf "$cache/spring"
	cp -r test/interop/spring "$cache/spring"
	nice mvn -q -B -Dstyle.color=never -f "$cache/spring/pom.xml" -DskipTests package </dev/null || die "Maven could not build test/interop/spring"
}

# Cargo.pins is Cargo.lock without the address that each package came from, which is the same for
# all and which cargo knows.
rust_build() {
	echo "building the Rust program"
	mkdir -p "$cache/rust"
	cp -r test/interop/rust/{Cargo.toml,src} "$cache/rust/"
	(
		cd "$cache/rust"
		rm -f Cargo.lock
		cargo generate-lockfile -q
		from=$(grep -m1 '^source = ' Cargo.lock)
		sed "s|^checksum = |$from\n&|" "$OLDPWD/test/interop/rust/Cargo.pins" >Cargo.lock
		nice cargo build -q --locked
	) </dev/null || die "cargo could not build test/interop/rust"
}

prepare() {
	local here=test/interop/$1
	case $1 in
	openid-client | oauth4webapi | oidc-client-ts | mcp)
		[ -d "$here/node_modules" ] || rm -f "$cache/$1.stamp"
		once "$1" "$here/package-lock.json" -- node_packages "$1"
		;;
	authlib)
		once authlib "$here/requirements.txt" -- python_packages
		export INTEROP_PYTHON=$cache/venv/bin/python
		;;
	go-oidc) ;;
	spring)
		have javac && have mvn || debian default-jdk-headless maven
		mapfile -t sources < <(find "$here/pom.xml" "$here/src" -type f | sort)
		once spring "${sources[@]}" -- spring_build
		export INTEROP_SPRING=$cache/spring/target/interop.jar
		;;
	rust)
		have cargo || die "missing: Rust 1.88 or newer"
		once rust "$here/Cargo.toml" "$here/Cargo.pins" "$here/src/main.rs" -- rust_build
		export INTEROP_RUST=$cache/rust/target/debug/signet-interop
		;;
	mod-auth-openidc)
		[ -e /usr/lib/apache2/modules/mod_auth_openidc.so ] && have apache2 || debian apache2-bin libapache2-mod-auth-openidc
		;;
	*) die "there is no client $1 in test/interop" ;;
	esac
}

[ -x "$SIGNET_BIN" ] || die "$SIGNET_BIN is not built: make build"
[ -d test/node_modules/playwright-core ] || die "run test/setup.sh first: it installs the browser"
have openssl || debian openssl
for name in "${clients[@]}"; do
	prepare "$name"
done

# For those who insist on https: a certificate that only the programs of this run trust.
INTEROP_TLS=$(mktemp -d)
export INTEROP_TLS NODE_EXTRA_CA_CERTS=$INTEROP_TLS/cert.pem
trap 'rm -rf "$INTEROP_TLS"' EXIT
openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -days 2 -subj /CN=localhost \
	-addext subjectAltName=DNS:localhost -keyout "$INTEROP_TLS/key.pem" -out "$INTEROP_TLS/cert.pem" 2>/dev/null

node test/interop/main.mjs ${CI:+--check} "${clients[@]}"
