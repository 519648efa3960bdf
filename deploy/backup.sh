#!/bin/sh
# A back-up of a city: backup.sh [--keep N] [--folders] TO DATA…
#
#   TO          where back-ups lie; this one becomes TO/lucheng-TIME, whole or not at all
#   DATA…       data folders of this machine's processes; their last names tell them apart
#   --keep N    delete all but the newest N of those in TO
#   --folders   the data folders alone: for the machines on which the servers' part is not made
#
# From the environment:
#   LUCHENG         the command (lucheng)              CITY_CONFIG  its settings file
#   INFLUX_FOLDER   influxd's folder, copied while influxd is stopped: lucheng waits for it, alarms go on without it
#   INFLUX_STOP, INFLUX_START   commands that stop and start it for that; else it has to be stopped already
#
# The order is what keeps the parts of one time (docs/operations/backup.md): keys and the audit's checkpoints; with InfluxDB stopped the
# streams and its folder; PostgreSQL; evidence.
# 备份顺序不可更改：密钥与审计检查点；停止 InfluxDB 后备份各条流及其目录；PostgreSQL；证据。
set -eu
umask 077

die() {
	echo "backup.sh: $*" >&2
	exit 1
}

keep=0 folders_only=
while [ $# -gt 0 ]; do
	case $1 in
	--keep) [ $# -ge 2 ] || die "--keep wants a number"; keep=$2; shift 2 ;;
	--folders) folders_only=1; shift ;;
	-*) die "unknown option $1" ;;
	*) break ;;
	esac
done
case $keep in '' | *[!0-9]*) die "--keep wants a number, not $keep" ;; esac
[ $# -ge 2 ] || die "usage: backup.sh [--keep N] [--folders] TO DATA..."
to=$1
shift
[ -d "$to" ] || mkdir -p "$to" || die "$to cannot be made"
lucheng=${LUCHENG:-lucheng}
python=${PYTHON:-python3}

run_lucheng() {
	if [ -n "${CITY_CONFIG:-}" ]; then "$lucheng" --config "$CITY_CONFIG" "$@"; else "$lucheng" "$@"; fi
}

# setting SECTION KEY: as it is in force, "" where it is not set.
setting() {
	"$python" -c 'import json, sys; v = json.load(open(sys.argv[1]))[sys.argv[2]].get(sys.argv[3]); print("" if v is None else v)' \
		"$part/settings.json" "$1" "$2"
}

# Sorted by time, since the name is the time.
stamp=$(date -u +%Y%m%dT%H%M%SZ)
part=$to/.lucheng-$stamp.part
mkdir "$part" || die "$part is there already: another back-up runs"
started=
cleanup() {
	if [ -n "$started" ]; then sh -c "$INFLUX_START" >&2 || echo "backup.sh: InfluxDB was not started again: $INFLUX_START" >&2; fi
	rm -rf "$part"
}
trap cleanup EXIT
trap 'exit 1' HUP INT TERM

run_lucheng config show --json >"$part/settings.json" || die "the settings cannot be read"

# -- 1. keys, the audit's checkpoints -----------------------------------------------------------
mkdir "$part/data"
for data in "$@"; do
	name=$(basename "$data")
	[ -d "$data" ] || die "$data is no folder"
	[ ! -e "$part/data/$name.tar" ] || die "two data folders are called $name"
	if [ -e "$data/registry.db" ]; then
		# People and devices lie in its own files: nobody may write them meanwhile.
		flock -n "$data/lock" tar -C "$data" -cf "$part/data/$name.tar" --exclude=./api.sock --exclude=./lock --exclude=./recordings . ||
			die "$data is in use, or cannot be read: stop the service of that folder first (systemctl stop lucheng)"
		continue
	fi
	(
		cd "$data"
		set --
		for one in keys audit.checkpoints database.moved; do [ ! -e "$one" ] || set -- "$@" "$one"; done
		tar -cf - "$@" --files-from=/dev/null
	) >"$part/data/$name.tar" || die "$data cannot be read"
done

if [ -z "$folders_only" ]; then
	# -- 2. InfluxDB stands still: nothing is committed and no stream of points is trimmed until it goes on --
	if [ "$(setting influx mode)" = store ]; then
		[ -n "${INFLUX_FOLDER:-}" ] || die "the settings have series in InfluxDB: set INFLUX_FOLDER"
		if [ -n "${INFLUX_STOP:-}" ]; then
			: "${INFLUX_START:?is needed where INFLUX_STOP is}"
			started=1
			sh -c "$INFLUX_STOP" >&2 || die "InfluxDB was not stopped: $INFLUX_STOP"
		fi
		url=$(setting influx url)
		if "$python" -c 'import socket, sys, urllib.parse as p; u = p.urlsplit(sys.argv[1]); socket.create_connection((u.hostname, u.port or 8086), 3)' \
			"$url" 2>/dev/null; then
			die "InfluxDB runs at $url: stop it first (INFLUX_STOP, INFLUX_START); lucheng waits for it, alarms go on"
		fi
	fi

	# -- 3. the streams, then what was stored of them -----------------------------------------------
	if [ "$(setting nats mode)" = log ]; then
		run_lucheng cluster backup "$part/streams" >&2 || die "the streams were not backed up"
	fi
	if [ "$(setting influx mode)" = store ]; then
		mkdir "$part/influx"
		tar -C "$INFLUX_FOLDER" -cf "$part/influx/folder.tar" . || die "$INFLUX_FOLDER cannot be read"
		if [ -n "$started" ]; then
			sh -c "$INFLUX_START" >&2 || die "InfluxDB was not started again: $INFLUX_START"
			started=
		fi
	fi

	# -- 4. PostgreSQL ----------------------------------------------------------------------
	database=$(setting database url)
	if [ -n "$database" ]; then
		secret=$(setting database password_file)
		[ -z "$secret" ] || PGPASSWORD=$(head -n 1 "$secret")
		export PGPASSWORD
		pg_dump --dbname="$database" --format=custom --no-owner --schema="$(setting database prefix)_*" \
			--file="$part/postgres.dump" || die "PostgreSQL was not backed up"
		unset PGPASSWORD
	fi
fi

# -- 5. what rows name: written before its row, never changed ----------------------------------------
for data in "$@"; do
	[ ! -e "$data/registry.db" ] || continue
	for one in evidence photos map; do
		[ -d "$data/$one" ] || continue
		tar -C "$data" --append -f "$part/data/$(basename "$data").tar" "$one" || die "$data/$one cannot be read"
	done
done

# -- the end: it is whole ----------------------------------------------------------------------------
"$lucheng" --version >"$part/version"
(cd "$part" && find . -type f ! -name SHA256SUMS -print0 | LC_ALL=C sort -z | xargs -0 sha256sum >SHA256SUMS)
sync
mv "$part" "$to/lucheng-$stamp"
trap - EXIT
echo "$to/lucheng-$stamp"

if [ "$keep" -gt 0 ]; then
	ls -1d "$to"/lucheng-[0-9]*Z | LC_ALL=C sort -r | tail -n +$((keep + 1)) | while IFS= read -r old; do rm -rf "$old"; done
fi
