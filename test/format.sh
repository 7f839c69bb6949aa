#!/usr/bin/env bash
# Fails and lists the files that gofmt would change.
set -euo pipefail
cd "$(dirname "$0")/.."
unformatted=$(git ls-files -co --exclude-standard -- '*.go' ':!third_party' | while read -r f; do [ -e "$f" ] && echo "$f"; done | xargs gofmt -l)
if [ -n "$unformatted" ]; then
	echo "not formatted (make fmt):" >&2
	echo "$unformatted" >&2
	exit 1
fi
