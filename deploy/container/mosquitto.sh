#!/bin/sh
# mosquitto in a container: mosquitto.sh CONFIG FOLDER [BRIDGES]
#
#   CONFIG   its configuration, in which @PASSWORD@ stands for the bridges' password
#   FOLDER   where an ingestor keeps `passwords` and `acl` (mqtt.files_dir); waited for, and read again when they change
#   BRIDGES  also make the account by which edges come in: the folder for its two files
#
# The password of the bridges is in the file BRIDGE_PASSWORD_FILE; it is on no command line.
set -eu
umask 077
config=$1 folder=$2 bridges=${3:-}
secret=$(head -n 1 "${BRIDGE_PASSWORD_FILE:-/run/secrets/bridge-password}")

if [ -n "$bridges" ]; then
	mkdir -p "$bridges"
	printf 'lucheng-bridge:%s\n' "$secret" >"$bridges/passwords"
	mosquitto_passwd -U "$bridges/passwords"
	cp "${BRIDGES_ACL:-/etc/lucheng/bridges.acl}" "$bridges/acl"
fi
own=${MOSQUITTO_CONFIG:-/tmp/mosquitto.conf}
while IFS= read -r line || [ -n "$line" ]; do
	case $line in
	*@PASSWORD@*) printf '%s%s%s\n' "${line%%@PASSWORD@*}" "$secret" "${line#*@PASSWORD@}" ;;
	*) printf '%s\n' "$line" ;;
	esac
done <"$config" >"$own"

while [ ! -s "$folder/passwords" ] || [ ! -s "$folder/acl" ]; do
	echo "waiting for $folder/passwords and acl, which an ingestor writes" >&2
	sleep 1
done

mosquitto -c "$own" &
broker=$!
trap 'kill -TERM "$broker" 2>/dev/null || true' TERM INT
seen=$(cksum <"$folder/passwords")$(cksum <"$folder/acl")
while kill -0 "$broker" 2>/dev/null; do
	sleep 1 &
	wait $! || true # a signal ends the pause, not the script
	now=$(cksum <"$folder/passwords" || true)$(cksum <"$folder/acl" || true)
	if [ "$now" != "$seen" ]; then
		seen=$now
		kill -HUP "$broker" 2>/dev/null || true
	fi
done
wait "$broker"
