#!/bin/sh
# An authority and certificates of a city that has none of its own: certs.sh FOLDER NAME…
#
# FOLDER/ca.pem and ca-key are made once; for each NAME (a host's name or address, several of one machine with commas between
# them: m1,10.0.0.11) FOLDER/FIRST.pem and FOLDER/FIRST.key, for ten years the authority and two years the rest. What is there is
# left alone: to renew one, delete its .pem and call this again. A city with an authority of its own has it sign instead: each
# machine needs its name and address as subjectAltName, for server and client (the nats-servers show theirs to each other).
# 没有自建 CA 的城市用此脚本生成；已有 CA 的城市应由其签发。
set -eu
umask 077
[ $# -ge 1 ] || { echo "usage: certs.sh FOLDER NAME..." >&2; exit 2; }
command -v openssl >/dev/null || { echo "openssl is not installed: apt-get install openssl" >&2; exit 1; }
folder=$1
shift
mkdir -p "$folder"
if [ ! -s "$folder/ca.pem" ]; then
	openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -sha256 -days 3650 -subj "/CN=lucheng city authority" \
		-addext basicConstraints=critical,CA:TRUE,pathlen:0 -addext keyUsage=critical,keyCertSign,cRLSign \
		-keyout "$folder/ca-key" -out "$folder/ca.pem.part" 2>/dev/null
	mv "$folder/ca.pem.part" "$folder/ca.pem"
	echo "$folder/ca.pem"
fi
for names in "$@"; do
	first=${names%%,*}
	[ ! -s "$folder/$first.pem" ] || continue
	san=
	rest=$names,
	while [ -n "$rest" ]; do
		one=${rest%%,*}
		rest=${rest#*,}
		case $one in
		*[!0-9.]*) case $one in *:*) kind=IP ;; *) kind=DNS ;; esac ;;
		*) kind=IP ;;
		esac
		san=$san${san:+,}$kind:$one
	done
	request=$folder/$first.request
	extensions=$folder/$first.extensions
	openssl req -new -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -sha256 -subj "/CN=$first" \
		-keyout "$folder/$first.key" -out "$request" 2>/dev/null
	printf 'basicConstraints=critical,CA:FALSE\nkeyUsage=critical,digitalSignature\nextendedKeyUsage=serverAuth,clientAuth\nsubjectAltName=%s\n' \
		"$san" >"$extensions"
	openssl x509 -req -in "$request" -CA "$folder/ca.pem" -CAkey "$folder/ca-key" -CAcreateserial -days 730 -sha256 \
		-extfile "$extensions" -out "$folder/$first.pem.part" 2>/dev/null
	rm -f "$request" "$extensions"
	mv "$folder/$first.pem.part" "$folder/$first.pem"
	echo "$folder/$first.pem"
done
chmod 0644 "$folder"/*.pem
