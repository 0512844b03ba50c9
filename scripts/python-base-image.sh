#!/usr/bin/env bash
# Makes a small Debian image, on which the Python example builds, without any image registry: debootstrap fills a
# folder, `docker import` makes it an image. Does nothing when the image is there already. Prints the image's tag.
#
#   scripts/python-base-image.sh [tag]        default: flowctl-debian-base:trixie
set -euo pipefail

tag=${1:-flowctl-debian-base:trixie}
suite=trixie

if docker image inspect "$tag" >/dev/null 2>&1; then
  echo "$tag"
  exit 0
fi

as_root() { if [ "$(id -u)" = 0 ]; then "$@"; else sudo "$@"; fi; }

if ! command -v debootstrap >/dev/null 2>&1; then
  as_root apt-get -o DPkg::Lock::Timeout=300 update -qq >&2
  as_root apt-get -o DPkg::Lock::Timeout=300 install -y -qq --no-install-recommends debootstrap >&2
fi

work=$(mktemp -d)
trap 'as_root rm -rf "$work"' EXIT
# A folder of its own: the root of the image would take over the 0700 of the temporary folder.
root=$work/root
mkdir -m 0755 "$root"
as_root debootstrap --variant=minbase --include=ca-certificates "$suite" "$root" >&2
# The machine's own certificate authorities, so that builds on the image can reach what the machine can reach.
as_root cp /etc/ssl/certs/ca-certificates.crt "$root/etc/ssl/certs/ca-certificates.crt"
# Proxies that answer pipelined requests wrongly leave apt waiting for ever.
printf 'Acquire::http::Pipeline-Depth "0";\nAcquire::Retries "3";\n' | as_root tee "$root/etc/apt/apt.conf.d/90-robust" >/dev/null
as_root rm -rf "$root/var/cache/apt/archives" "$root/var/lib/apt/lists"
as_root mkdir -p "$root/var/cache/apt/archives/partial" "$root/var/lib/apt/lists/partial"
as_root tar -C "$root" -c . | docker import - "$tag" >/dev/null
echo "$tag"
