#!/usr/bin/env bash
# Runs a command with a throw-away Postgres server of its own:
#   test/postgres/run.sh go test ./...
# The command finds the server's superuser URL in SIGNET_TEST_POSTGRES. The server listens on a
# random port of 127.0.0.1, keeps its data in a temporary folder (no fsync) and is gone afterwards.
set -euo pipefail

bin=$(ls -d /usr/lib/postgresql/*/bin 2>/dev/null | sort -V | tail -1 || true)
[ -n "$bin" ] || bin=$(dirname "$(command -v initdb 2>/dev/null || echo /missing/initdb)")
[ -x "$bin/initdb" ] || { echo "PostgreSQL server programs (initdb, pg_ctl) not found: install the package postgresql" >&2; exit 1; }

dir=$(mktemp -d "${TMPDIR:-/tmp}/signet-pg.XXXXXX")
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
options="-c listen_addresses=127.0.0.1 -p $port -c fsync=${SIGNET_TEST_FSYNC:-off} -c max_connections=400 -c unix_socket_directories=$dir -c shared_buffers=256MB -c autovacuum=on"
"${as[@]}" "$bin/pg_ctl" -D "$dir/data" -w -t 60 -l "$dir/log" -o "$options" start >/dev/null || { cat "$dir/log" >&2; exit 1; }
cd - >/dev/null

SIGNET_TEST_POSTGRES="postgres://postgres@127.0.0.1:$port/postgres?sslmode=disable" "$@"
