#!/bin/sh
# Builds the nats-server of go.mod beside this file and prints where it lies: build.sh [--print]
#
# Kept outside the checkout, in LUCHENG_CACHE_DIR or ~/.cache/lucheng, in a folder named after the version and the hash
# of go.mod and go.sum, so every checkout shares it. The stamp `.complete` is written last: a folder without it is half
# made and is made again. Needs Go and the modules; half a minute on two cores.
#
#   --print   build nothing: print the path when it is built (exit 0), else say what is missing (exit 1 or 2)
#
# Exit 2: a tool is missing.
set -eu
here=$(CDPATH='' cd -- "$(dirname -- "$0")" && pwd)
cache=${LUCHENG_CACHE_DIR:-${HOME:?}/.cache/lucheng}
module=github.com/nats-io/nats-server/v2
version=$(sed -n "s|^.*$module v\([0-9.]*\).*\$|\1|p" "$here/go.mod" | head -n 1)
hash=$(cat "$here/go.mod" "$here/go.sum" "$here/build.sh" | sha256sum | cut -c 1-12)
folder=$cache/nats-server-$version-$hash
program=$folder/nats-server

if [ -e "$folder/.complete" ]; then
	echo "$program"
	exit 0
fi

command -v go >/dev/null || { echo "nats-server needs go to be built, and there is none" >&2; exit 2; }

if [ "${1:-}" = --print ]; then
	echo "nats-server $version is not built; run: make nats-server" >&2
	exit 1
fi

mkdir -p "$cache"
exec 9>"$folder.lock"
flock 9
if [ -e "$folder/.complete" ]; then
	echo "$program"
	exit 0
fi
echo "Building nats-server $version in $folder: half a minute" >&2
rm -rf "$folder"
mkdir -p "$folder"
# The modules are asked for by checksum (go.sum); which Go builds them is the one that is there.
export GOTOOLCHAIN=local GOFLAGS='-mod=readonly -buildvcs=false' CGO_ENABLED=0
(cd "$here" && go build -trimpath -ldflags '-s -w' -o "$folder/nats-server.part" "$module") >&2
mv "$folder/nats-server.part" "$program"
"$program" --version >&2
touch "$folder/.complete"
for old in "$cache"/nats-server-*/; do
	[ "$old" = "$folder/" ] || echo "No longer needed by this checkout: $old" >&2
done
echo "$program"
