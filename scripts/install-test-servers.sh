#!/usr/bin/env bash
# Installs the programs that tests run beside flowctl, on Debian, as root. Starts nothing.
#   docker-registry, apache2-utils   an image registry with a password (the Docker driver's pulls)
#   debootstrap, busybox-static      base images without any registry
#   postgresql                       a database that goes away and comes back
#   openssh-server                   an engine that is reached over SSH
#   faketime                         a machine whose clock is set while everything runs
#   zsh, fish                        shells that completion scripts are for
# FLOWCTL_TEST_SKIP leaves out what its names (docker, postgres, zsh, fish) are about.
set -euo pipefail

skips() { [[ ",${FLOWCTL_TEST_SKIP:-}," == *",$1,"* ]]; }

declare -A programs=([faketime]=faketime)
if ! skips docker; then
  programs+=(
    [docker-registry]=docker-registry
    [htpasswd]=apache2-utils
    [debootstrap]=debootstrap
    [busybox]=busybox-static
    [sshd]=openssh-server
  )
fi
for shell in zsh fish; do
  skips "$shell" || programs+=(["$shell"]="$shell")
done
missing=()
for program in "${!programs[@]}"; do
  command -v "$program" >/dev/null || missing+=("${programs[$program]}")
done
# Debian keeps the server's programs off the path, in a folder for each version.
if ! skips postgres && ! compgen -G '/usr/lib/postgresql/*/bin/initdb' >/dev/null && ! command -v initdb >/dev/null; then
  missing+=(postgresql)
fi
[ "${#missing[@]}" -gt 0 ] || exit 0

if [ "$(id -u)" != 0 ] || ! command -v apt-get >/dev/null; then
  # A test that lacks a shell or a database says so itself.
  needed=()
  for package in "${missing[@]}"; do
    case $package in zsh | fish | postgresql) ;; *) needed+=("$package") ;; esac
  done
  [ "${#needed[@]}" -gt 0 ] || exit 0
  echo "These tests need packages that only root on Debian gets installed by this script: ${needed[*]}" >&2
  exit 1
fi
echo "Installing what the tests need: ${missing[*]}"
export DEBIAN_FRONTEND=noninteractive
apt-get -o DPkg::Lock::Timeout=300 update -qq
# An installed package may not start its server: tests start their own, on their own ports.
policy=/usr/sbin/policy-rc.d
if [ ! -e "$policy" ]; then
  printf '#!/bin/sh\nexit 101\n' >"$policy"
  chmod +x "$policy"
  trap 'rm -f "$policy"' EXIT
fi
apt-get -o DPkg::Lock::Timeout=300 install -y -qq --no-install-recommends "${missing[@]}" >/dev/null
