#!/usr/bin/env bash
# Runs the commands of a document as a newcomer would, in order, in a scratch copy of the
# repository, and fails at the first that fails:
#   test/readme/run.sh README.md
#
# It takes the fences whose info string begins with `sh test`. All blocks share one shell, so
# variables and folders carry over. A block marked `sh test background` is started and left
# running (`signet dev`); the next block runs when the provider at http://localhost:8080
# answers. What is running at the end is stopped.
set -euo pipefail
document=$(realpath "${1:?which document}")
cd "$(dirname "$0")/../.."
command -v curl >/dev/null || { echo "curl is missing" >&2; exit 1; }

scratch=$(mktemp -d "${TMPDIR:-/tmp}/signet-readme.XXXXXX")
mkdir "$scratch/signet"
git ls-files -co --exclude-standard -z | while IFS= read -r -d '' file; do
	[ -e "$file" ] && printf '%s\0' "$file"
done | tar --null -T - -cf - | tar -xf - -C "$scratch/signet"

script=$scratch/commands.sh
awk '
function flush() {
	if (block == "") return
	printf "\necho \"── %s:%d\" >&2\n", name, line
	if (background) printf "(\n%s) >\"$BACKGROUND_LOG\" 2>&1 </dev/null &\nstarted+=($!)\nready\n", block
	else printf "%s", block
	block = ""; n++
}
/^```sh test( |$)/ { inside = 1; background = ($0 ~ /background/); line = NR; block = ""; next }
/^```/ && inside { inside = 0; flush(); next }
inside { block = block $0 "\n" }
END { printf "\necho \"%d blocks ran\" >&2\n", n }
' name="$(basename "$document")" "$document" >"$script"
grep -q '^echo "──' "$script" || { echo "$document has no fence marked sh test" >&2; exit 1; }

cat >"$scratch/run.sh" <<'RUN'
set -euo pipefail
started=()
BACKGROUND_LOG=$SCRATCH/background.log
stop() {
	status=$?
	trap - EXIT
	# Each background block leads a process group of its own (set -m below).
	for pid in "${started[@]}"; do kill -TERM -- "-$pid" 2>/dev/null || true; done
	for pid in "${started[@]}"; do wait "$pid" 2>/dev/null || true; done
	if [ "$status" -ne 0 ] && [ -e "$BACKGROUND_LOG" ]; then tail -50 "$BACKGROUND_LOG" >&2; fi
	exit "$status"
}
trap stop EXIT
ready() {
	for _ in $(seq 1200); do
		curl -fsS -o /dev/null http://localhost:8080/.well-known/openid-configuration 2>/dev/null && return
		kill -0 "${started[-1]}" 2>/dev/null || { echo "the background command ended" >&2; return 1; }
		sleep 0.1
	done
	echo "no provider at http://localhost:8080" >&2
	return 1
}
cd "$SCRATCH/signet"
set -m
source "$SCRATCH/commands.sh"
RUN
status=0
env -u SIGNET_BIN SCRATCH="$scratch" bash "$scratch/run.sh" </dev/null || status=$?
rm -rf "$scratch"
exit $status
