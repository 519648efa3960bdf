#!/bin/sh
# A city out of a back-up: restore.sh [--folders] FROM DATA…
#
#   FROM        what backup.sh made: …/lucheng-TIME
#   DATA…       data folders that are to be made, with the last names that they had; empty or not there yet
#   --folders   the data folders alone: for the machines on which the servers' part is not restored
#
# Into an empty place alone: nats-servers without these streams, a database without these schemas, empty folders; nothing is written
# over. The servers run, but for InfluxDB where its folder is restored; no process of lucheng runs anywhere.
# From the environment, as for backup.sh: LUCHENG, CITY_CONFIG, INFLUX_FOLDER (empty, influxd stopped) with INFLUX_START and, run as
# root, INFLUX_OWNER (user:group). DATA_OWNER (user:group): whose the data folders become.
# 只恢复到空的服务器与目录；期间不得运行任何鹿城进程。
set -eu
umask 077

die() {
	echo "restore.sh: $*" >&2
	exit 1
}

folders_only=
while [ $# -gt 0 ]; do
	case $1 in
	--folders) folders_only=1; shift ;;
	-*) die "unknown option $1" ;;
	*) break ;;
	esac
done
[ $# -ge 2 ] || die "usage: restore.sh [--folders] FROM DATA..."
from=$1
shift
first=$1
lucheng=${LUCHENG:-lucheng}
python=${PYTHON:-python3}

run_lucheng() {
	if [ -n "${CITY_CONFIG:-}" ]; then "$lucheng" --config "$CITY_CONFIG" "$@"; else "$lucheng" "$@"; fi
}
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
trap 'exit 1' HUP INT TERM
setting() {
	"$python" -c 'import json, sys; v = json.load(open(sys.argv[1]))[sys.argv[2]].get(sys.argv[3]); print("" if v is None else v)' \
		"$work/settings.json" "$1" "$2"
}
# Whether a folder is missing, or has no file in it.
empty() { [ ! -d "$1" ] || [ -z "$(find "$1" -type f -print -quit)" ]; }

# -- everything is looked at before anything is touched ----------------------------------------------
[ -s "$from/SHA256SUMS" ] || die "$from is no whole back-up: SHA256SUMS is missing"
(cd "$from" && sha256sum --quiet --check SHA256SUMS) >&2 || die "$from is damaged: use another back-up"
for data in "$@"; do
	[ -e "$from/data/$(basename "$data").tar" ] || die "there is no data folder $(basename "$data") in $from/data"
	empty "$data" || die "$data is not empty"
done
run_lucheng config show --json >"$work/settings.json" || die "the settings cannot be read"
database=$(setting database url)
if [ -z "$folders_only" ]; then
	if [ -n "$database" ]; then
		[ -e "$from/postgres.dump" ] || die "the settings name a database, and $from has none"
		secret=$(setting database password_file)
		[ -z "$secret" ] || PGPASSWORD=$(head -n 1 "$secret")
		export PGPASSWORD
		prefix=$(setting database prefix)
		found=$(psql --no-psqlrc --tuples-only --no-align --dbname="$database" \
			--command="SELECT count(*) FROM pg_namespace WHERE left(nspname, length('${prefix}_')) = '${prefix}_'") || die "PostgreSQL does not answer"
		[ "$found" = 0 ] || die "the database has $found schemas ${prefix}_… already: restore into a new one"
	fi
	if [ "$(setting influx mode)" = store ]; then
		[ -e "$from/influx/folder.tar" ] || die "the settings have series in InfluxDB, and $from has none"
		[ -n "${INFLUX_FOLDER:-}" ] || die "set INFLUX_FOLDER: the settings have series in InfluxDB"
		empty "$INFLUX_FOLDER" || die "$INFLUX_FOLDER is not empty"
	fi
	if [ "$(setting nats mode)" = log ]; then [ -d "$from/streams" ] || die "the settings have streams, and $from has none"; fi
fi

# -- 1. data folders ------------------------------------------------------------------------------
for data in "$@"; do
	mkdir -p "$data"
	tar -C "$data" -xpf "$from/data/$(basename "$data").tar"
	[ -z "${DATA_OWNER:-}" ] || chown -R "$DATA_OWNER" "$data"
	echo "$data" >&2
done
[ -z "$folders_only" ] || exit 0

# -- 2. PostgreSQL: all of it or nothing --------------------------------------------------------------
if [ -n "$database" ]; then
	pg_restore --dbname="$database" --exit-on-error --single-transaction --no-owner "$from/postgres.dump"
	unset PGPASSWORD
	echo "PostgreSQL" >&2
fi

# -- 3. InfluxDB ----------------------------------------------------------------------------------
if [ "$(setting influx mode)" = store ]; then
	url=$(setting influx url)
	mkdir -p "$INFLUX_FOLDER"
	tar -C "$INFLUX_FOLDER" -xpf "$from/influx/folder.tar"
	[ -z "${INFLUX_OWNER:-}" ] || chown -R "$INFLUX_OWNER" "$INFLUX_FOLDER"
	[ -z "${INFLUX_START:-}" ] || sh -c "$INFLUX_START" >&2
	waited=0
	until "$python" -c 'import socket, sys, urllib.parse as p; u = p.urlsplit(sys.argv[1]); socket.create_connection((u.hostname, u.port or 8086), 3)' \
		"$url" 2>/dev/null; do
		waited=$((waited + 1))
		[ "$waited" -lt 120 ] || die "InfluxDB does not answer at $url: start it, then go on with: lucheng cluster restore $from/streams; lucheng cluster settle"
		sleep 1
	done
	echo "InfluxDB" >&2
fi

# -- 4. the streams, and that all of it agrees ----------------------------------------------------------
if [ "$(setting nats mode)" = log ]; then
	run_lucheng cluster restore "$from/streams" >&2
	run_lucheng --data "$first" cluster settle >&2
fi

# -- 5. that it holds -----------------------------------------------------------------------------
run_lucheng --data "$first" audit verify >&2
run_lucheng --data "$first" store check >&2
# What these commands made there belongs to whom the rest does.
[ -z "${DATA_OWNER:-}" ] || chown -R "$DATA_OWNER" "$first"
echo "restored from $from"
