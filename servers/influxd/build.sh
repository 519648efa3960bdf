#!/bin/sh
# Builds the influxd of go.mod beside this file and prints where it lies: build.sh [--print]
#
# Kept outside the checkout, in LUCHENG_CACHE_DIR or ~/.cache/lucheng, in a folder named after the version and the hash
# of go.mod and go.sum, so every checkout shares it. The stamp `.complete` is written last: a folder without it is half
# made and is made again. Needs Go, cargo, a C compiler and the modules; about 7 minutes on two cores.
#
#   --print   build nothing: print the path when it is built (exit 0), else say what is missing (exit 1 or 2)
#
# Exit 2: a tool is missing.
set -eu
here=$(CDPATH='' cd -- "$(dirname -- "$0")" && pwd)
cache=${LUCHENG_CACHE_DIR:-${HOME:?}/.cache/lucheng}
version=$(sed -n 's|^.*github.com/influxdata/influxdb/v2 v\([0-9.]*\).*$|\1|p' "$here/go.mod" | head -n 1)
hash=$(cat "$here/go.mod" "$here/go.sum" "$here/build.sh" | sha256sum | cut -c 1-12)
folder=$cache/influxd-$version-$hash
program=$folder/influxd

if [ -e "$folder/.complete" ]; then
	echo "$program"
	exit 0
fi

for tool in go cargo rustc cc; do
	command -v "$tool" >/dev/null || { echo "influxd needs $tool to be built, and there is none" >&2; exit 2; }
done

if [ "${1:-}" = --print ]; then
	echo "influxd $version is not built; run: make influxd" >&2
	exit 1
fi

mkdir -p "$cache"
exec 9>"$folder.lock"
flock 9
if [ -e "$folder/.complete" ]; then
	echo "$program"
	exit 0
fi
echo "Building influxd $version in $folder: about 7 minutes" >&2
rm -rf "$folder"
mkdir -p "$folder/bin"

# The Go modules are asked for by checksum (go.sum); which Go builds them is the one that is there.
export GOTOOLCHAIN=local GOFLAGS='-mod=readonly -buildvcs=false'
# Its own pkg-config compiles the Rust library of Flux and hands the linker what came of it.
GOBIN=$folder/bin go install github.com/influxdata/pkg-config@v0.2.14
export PKG_CONFIG="$folder/bin/pkg-config"

# The library pins a Rust of its own; the one that is installed does as well ...
if [ -z "${RUSTUP_TOOLCHAIN:-}" ] && command -v rustup >/dev/null; then
	RUSTUP_TOOLCHAIN=$(cd / && rustup show active-toolchain | cut -d ' ' -f 1)
	export RUSTUP_TOOLCHAIN
fi
# ... once lints that are younger than it are warnings: its crates deny warnings. Dependencies are capped already.
cat >"$folder/bin/rustc-wrapper" <<'WRAPPER'
#!/bin/sh
for argument in "$@"; do
	case $argument in --cap-lints*) exec "$@" ;; esac
done
exec "$@" --cap-lints warn
WRAPPER
chmod +x "$folder/bin/rustc-wrapper"
export RUSTC_WRAPPER="$folder/bin/rustc-wrapper"
(cd "$here" && go build -trimpath -ldflags '-s -w' -o "$folder/influxd.part" github.com/influxdata/influxdb/v2/cmd/influxd) >&2
mv "$folder/influxd.part" "$program"
"$program" version >&2
rm -rf "$folder/bin"
touch "$folder/.complete"
for old in "$cache"/influxd-*/; do
	[ "$old" = "$folder/" ] || echo "No longer needed by this checkout: $old" >&2
done
echo "$program"
