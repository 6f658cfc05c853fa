#!/bin/sh
# Builds the image without a daemon and without a registry: make image-check. It stands on Debian's packages in place of
# the base image, and runs a job in it. As root, with debootstrap and buildah; two to four minutes.
set -eu
cd "$(dirname "$0")/.."
target=${1:-risk}
work=$(mktemp -d)
build() { buildah --root "$work/store" --runroot "$work/run" --storage-driver vfs "$@"; }
trap 'build rm --all >/dev/null 2>&1 || true; rm -rf "$work"' EXIT

debootstrap --variant=minbase --include=ca-certificates,python3,python3-venv bookworm "$work/base" >"$work/log" ||
    { cat "$work/log"; exit 1; }
base=$(build from scratch)
build add --quiet "$base" "$work/base" / >/dev/null
build commit --quiet "$base" localhost/base >/dev/null

# How this machine reaches its packages holds inside, too.
printf 'system-certs = true\n' >"$work/uv.toml"
set -- --volume /etc/ssl/certs:/etc/ssl/certs:ro --volume "$work/uv.toml:/etc/uv/uv.toml:ro"
[ ! -e /etc/pip.conf ] || set -- "$@" --volume /etc/pip.conf:/etc/pip.conf:ro
build build --isolation chroot --format docker --build-arg BASE=localhost/base --target "$target" --tag risk "$@" .

# The health check and the user are in the image, and a job runs in it as that user.
build inspect --type image --format '{{.Docker.Config.User}} {{.Docker.Config.Healthcheck.Test}}' risk
container=$(build from --pull=never risk)
build run --isolation chroot "$container" -- sh deploy/entrypoint.sh list-pipelines
build run --isolation chroot "$container" -- sh -c 'test "$(id -u)" = 10001 && ! touch /app/x 2>/dev/null && touch /data/x'
echo "The image of $target is right."
