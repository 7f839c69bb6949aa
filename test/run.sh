#!/usr/bin/env bash
# Runs everything that `make test` promises, or the sections named as arguments:
#   test/run.sh                      all of them
#   test/run.sh setup build browser  some
# Every section runs even when an earlier one failed, except that nothing runs without `setup`
# and `build`. The summary at the end says what failed and how long each took.
set -uo pipefail
cd "$(dirname "$0")/.."

export CGO_ENABLED=0
export SIGNET_TEST_REQUIRE_POSTGRES=1
export SIGNET_BIN=$PWD/bin/signet
export PYTHON=$PWD/.cache/venv/bin/python
export NO_COLOR=1

# Packages whose state goroutines share, and those that serve requests: the race detector
# multiplies time by ten, so it does not run on the rest, and the embedded engine, which is slowest
# under it, only where its own adapter is looked at.
race_packages=(./internal/identity/... ./internal/oauth/... ./internal/signin/... ./internal/server/... ./internal/app/...)

# Arithmetic over all colours, in one goroutine: go-tests runs it.
race_skip='^TestAccent_EveryColourCanBeRead$'

node_test() { node --test --test-concurrency=2 --test-reporter=spec --test-timeout=600000 "$@"; }

setup() { test/setup.sh; }
# Without -trimpath, so that the tests find the compiled packages in the build cache.
build() { go build -ldflags '-s -w' -o bin/signet ./cmd/signet && go vet ./...; }
format() { test/format.sh; }
go-tests() { go list ./... | grep -v '^signet/test/' | xargs test/postgres/run.sh go test -vet=off; }
# One package at a time: these start, kill and time whole processes.
process-tests() { test/postgres/run.sh go test -vet=off -p 1 ./test/...; }
race() {
	CGO_ENABLED=1 test/postgres/run.sh go test -vet=off -race ./internal/platform/... &&
		CGO_ENABLED=1 SIGNET_TEST_ENGINE=postgres test/postgres/run.sh go test -vet=off -race -skip "$race_skip" "${race_packages[@]}"
}
browser() { test/postgres/run.sh bash -c "$(declare -f node_test); node_test test/browser/*.test.mjs"; }
relying-parties() {
	node_test test/relyingparty/*.test.mjs && "$PYTHON" test/relyingparty/test_authlib.py -v
}
# Real clients, each doing its whole flow; those that take long to build are not part of `make test`.
interop() { test/interop/run.sh quick; }
interop-slow() { test/interop/run.sh slow; }
examples() { node_test test/examples/*.test.mjs; }
readme() { test/readme/run.sh README.md; }

sections=(setup build format go-tests process-tests race browser relying-parties interop examples readme)
if [ $# -gt 0 ]; then
	sections=("$@")
fi

names=() times=() results=() failed=0
began=$SECONDS
for section in "${sections[@]}"; do
	printf '\n━━━ %s ━━━\n' "$section"
	start=$SECONDS
	"$section" </dev/null
	status=$?
	names+=("$section") times+=($((SECONDS - start)))
	if [ $status -eq 0 ]; then
		results+=(ok)
	else
		results+=(FAILED)
		failed=1
		case $section in setup | build) break ;; esac
	fi
	printf '━━━ %s: %s, %d s\n' "$section" "${results[-1]}" "${times[-1]}"
done

printf '\n━━━ summary ━━━\n'
for i in "${!names[@]}"; do
	printf '%-16s %-7s %4d s\n' "${names[$i]}" "${results[$i]}" "${times[$i]}"
done
printf '%-16s %-7s %4d s\n' total "$([ $failed -eq 0 ] && echo ok || echo FAILED)" $((SECONDS - began))
exit $failed
