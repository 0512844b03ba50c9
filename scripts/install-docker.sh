#!/usr/bin/env bash
# Installs the Docker engine and client on Debian, as root. Starts nothing.
set -euo pipefail

if [ "$(id -u)" != 0 ] || ! command -v apt-get >/dev/null; then
  echo "Only root on a Debian machine can have Docker installed by this script." >&2
  echo "Install it as https://docs.docker.com/engine/install says, or on Debian: apt-get install docker.io docker-cli docker-buildx iptables" >&2
  exit 1
fi
if command -v dockerd >/dev/null && command -v docker >/dev/null && docker buildx version >/dev/null 2>&1; then exit 0; fi

echo "Installing Docker from the packages of Debian"
export DEBIAN_FRONTEND=noninteractive
apt-get -o DPkg::Lock::Timeout=300 update -qq
apt-get -o DPkg::Lock::Timeout=300 install -y -qq --no-install-recommends docker.io docker-cli docker-buildx iptables >/dev/null
