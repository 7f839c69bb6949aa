#!/usr/bin/env bash
# Runs every fuzz target for FUZZTIME, one after the other. What a target finds is written to
# its package's testdata, to be committed with the fix.
set -euo pipefail
cd "$(dirname "$0")/.."
time=${FUZZTIME:-30s}
failed=()
while IFS=: read -r file name; do
	package=./$(dirname "$file")
	echo "== $package $name ($time)"
	go test "$package" -run '^$' -fuzz "^$name\$" -fuzztime "$time" -parallel 2 || failed+=("$package $name")
done < <(git ls-files -co --exclude-standard -- '*_test.go' ':!third_party' |
	xargs grep -HoE '^func Fuzz[A-Za-z0-9_]+' | sed 's/:func /:/')
if [ ${#failed[@]} -gt 0 ]; then
	printf 'failed: %s\n' "${failed[@]}" >&2
	exit 1
fi
