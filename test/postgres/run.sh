#!/usr/bin/env bash
# Runs a command with a throw-away Postgres server of its own:
#   test/postgres/run.sh go test ./...
# The command finds the server's superuser URL in SIGNET_TEST_POSTGRES. The server listens on a
# random port of 127.0.0.1, keeps its data in a temporary folder and is gone afterwards.
#
# Nothing has to outlast the server, so it never syncs, and its files are in memory where there is
# room: a database per test is nearly a thousand files that are made and deleted again. With
# SIGNET_TEST_FSYNC=on it syncs, and keeps to the disk: for measurements.
set -euo pipefail

bin=$(ls -d /usr/lib/postgresql/*/bin 2>/dev/null | sort -V | tail -1 || true)
[ -n "$bin" ] || bin=$(dirname "$(command -v initdb 2>/dev/null || echo /missing/initdb)")
[ -x "$bin/initdb" ] || { echo "PostgreSQL server programs (initdb, pg_ctl) not found: install the package postgresql" >&2; exit 1; }

where=${TMPDIR:-/tmp}
settings="-c fsync=on -c shared_buffers=256MB"
if [ "${SIGNET_TEST_FSYNC:-off}" = off ]; then
	# Less of what a crash would need; buffers that are quickly looked through, as each database that
	# is made or dropped is a checkpoint.
	settings="-c fsync=off -c full_page_writes=off -c wal_level=minimal -c max_wal_senders=0 -c max_wal_size=256MB -c shared_buffers=64MB -c bgwriter_lru_maxpages=0 -c jit=off"
	free=$(df --output=avail -k /dev/shm 2>/dev/null | tail -1 || true)
	if [ -w /dev/shm ] && [ "${free:-0}" -gt $((2 * 1024 * 1024)) ]; then where=/dev/shm; fi
fi
dir=$(mktemp -d "$where/signet-pg.XXXXXX")
chmod 755 "$dir"
# Postgres refuses to run as root.
as=()
if [ "$(id -u)" = 0 ]; then
	user=postgres
	id "$user" >/dev/null 2>&1 || user=nobody
	chown "$user" "$dir"
	as=(setpriv --reuid="$user" --regid="$(id -g "$user")" --clear-groups env HOME="$dir")
fi
port=$(python3 -c 'import socket; s=socket.socket(); s.bind(("127.0.0.1",0)); print(s.getsockname()[1])')

stop() {
	"${as[@]}" "$bin/pg_ctl" -D "$dir/data" -m immediate stop >/dev/null 2>&1 || true
	rm -rf "$dir"
}
trap stop EXIT

cd "$dir"
"${as[@]}" "$bin/initdb" --no-sync -A trust -U postgres -E UTF8 --locale=C -D "$dir/data" >"$dir/initdb.log" 2>&1 || { cat "$dir/initdb.log" >&2; exit 1; }
options="-c listen_addresses=127.0.0.1 -p $port -c max_connections=400 -c unix_socket_directories=$dir -c autovacuum=on $settings"
"${as[@]}" "$bin/pg_ctl" -D "$dir/data" -w -t 60 -l "$dir/log" -o "$options" start >/dev/null || { cat "$dir/log" >&2; exit 1; }
cd - >/dev/null

SIGNET_TEST_POSTGRES="postgres://postgres@127.0.0.1:$port/postgres?sslmode=disable" "$@"
