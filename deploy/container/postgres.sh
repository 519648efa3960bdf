#!/bin/sh
# PostgreSQL in a container: makes its data folder and the database `lucheng` once, then becomes the server.
# The password of the user `lucheng` is in the file POSTGRES_PASSWORD_FILE. A folder that was half made is made again.
set -eu
umask 077
data=${PGDATA:?}
if [ ! -s "$data/PG_VERSION" ]; then
	part=$data.part
	rm -rf "$part"
	initdb --pgdata="$part" --username=lucheng --pwfile="${POSTGRES_PASSWORD_FILE:?}" --auth=scram-sha-256 \
		--encoding=UTF8 --locale=C.UTF-8 >&2
	# Whoever is on the same network as this container, and no other; the engine's own networks are all there is.
	echo 'host lucheng lucheng samenet scram-sha-256' >>"$part/pg_hba.conf"
	echo 'CREATE DATABASE lucheng;' | postgres --single -D "$part" postgres >&2
	mv "$part" "$data"
fi
exec postgres -D "$data" -c listen_addresses='*' -c password_encryption=scram-sha-256 -c fsync=on -c full_page_writes=on \
	-c synchronous_commit=on -c max_connections=150 -c unix_socket_directories=/tmp "$@"
