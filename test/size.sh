#!/usr/bin/env bash
# Prints what reviews discuss: sizes of files and of the binary, and how much test there is.
# Wanted: median file at most 130 lines, 95th percentile 400, test to code at least 1.0.
set -euo pipefail
cd "$(dirname "$0")/.."
code=$(git ls-files -co --exclude-standard -- 'cmd/*.go' 'internal/*.go' 'web/*.go' 'migrations/*.go' | grep -v _test.go)
tests=$(git ls-files -co --exclude-standard -- 'cmd/*_test.go' 'internal/*_test.go' 'web/*_test.go' 'test/*.go' 'test/*.mjs' 'test/*.py')
lines() { cat "$@" | wc -l; }
# shellcheck disable=SC2086 # the lists are split into names on purpose
{
	c=$(lines $code) t=$(lines $tests)
	echo "code:   $c lines in $(wc -w <<<"$code") files"
	echo "tests:  $t lines, $(awk "BEGIN{printf \"%.2f\", $t/$c}") per line of code"
	wc -l $code | grep -v ' total$' | sort -n | awk '{n[NR]=$1; f[NR]=$2}
		END{printf "files:  median %d lines, 95th percentile %d, longest %d (%s)\n", n[int((NR+1)/2)], n[int(NR*0.95)], n[NR], f[NR]}'
}
echo "binary: $(du -k bin/signet | awk '{printf "%.1f MB", $1/1024}')"
