#!/usr/bin/env bash
# Builds Signet and the bench, starts a throw-away Postgres that really syncs, and prints how
# much of what this machine allows Signet reaches:
#   bench/run.sh [flags of `bench compare`]
# SIZE is the number of accounts in the large store (default 100000; 1000000 takes a while).
# PARTS chooses parts: binary,start,ratios,concurrency,flat.
set -euo pipefail
cd "$(dirname "$0")/.."

out=$(mktemp -d "${TMPDIR:-/tmp}/signet-bench.XXXXXX")
trap 'rm -rf "$out"' EXIT
echo "building" >&2
CGO_ENABLED=0 go build -trimpath -ldflags '-s -w' -o "$out/signet" ./cmd/signet
CGO_ENABLED=0 go build -trimpath -o "$out/bench" ./bench

# The limits would be worthless, and a durable commit free, without fsync.
SIGNET_TEST_FSYNC=on test/postgres/run.sh sh -c '
	out=$1; shift
	exec "$out/bench" compare --signet "$out/signet" --postgres "$SIGNET_TEST_POSTGRES" --dir "$out" "$@"
' sh "$out" --size "${SIZE:-100000}" --parts "${PARTS:-}" "$@"
