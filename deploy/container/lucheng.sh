#!/bin/sh
# What a container of lucheng begins with: the city's secret key, the same for every process, then the command as it was given.
# The key is copied where there is none yet and never written over, for what is sealed under it needs it.
set -eu
data=${LUCHENG_DATA:-/var/lib/lucheng}
given=${CITY_KEY_FILE:-/run/secrets/secret-key}
if [ -r "$given" ] && [ ! -e "$data/keys/secret.key" ]; then
	umask 077
	mkdir -p "$data/keys"
	cp "$given" "$data/keys/secret.key.part"
	chmod 0600 "$data/keys/secret.key.part"
	mv "$data/keys/secret.key.part" "$data/keys/secret.key"
fi
exec lucheng "$@"
