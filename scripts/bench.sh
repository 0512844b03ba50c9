#!/usr/bin/env bash
# Measures flowctl, each figure beside its baseline in the same run: npm run bench [-- <bench>… --rounds N]
# or beside another version of itself, by a commit or tag of Git: npm run bench -- --against <ref>|last-release [--rounds N]
# On Debian, as root, `docker compose` is installed for the comparison when it is missing; no engine is started.
set -euo pipefail
cd "$(dirname "$0")/.."

bash scripts/ensure-dependencies.sh >&2
node scripts/build.mjs --clean
if [[ " $*" == *" --against"* ]]; then exec node --import tsx test/bench/against/main.ts "$@"; fi
if docker info >/dev/null 2>&1 && ! docker compose version >/dev/null 2>&1; then
  if [ "$(id -u)" = 0 ] && command -v apt-get >/dev/null; then
    echo "Installing docker compose, to compare with" >&2
    export DEBIAN_FRONTEND=noninteractive
    apt-get -o DPkg::Lock::Timeout=300 update -qq >&2
    apt-get -o DPkg::Lock::Timeout=300 install -y -qq --no-install-recommends docker-compose >&2
  else
    echo "docker compose is missing: install it to measure against it" >&2
    exit 1
  fi
fi
# The servers that buffers on disk are compared with; neither is started.
if ! command -v nats-server >/dev/null || ! command -v redis-server >/dev/null; then
  if [ "$(id -u)" = 0 ] && command -v apt-get >/dev/null; then
    echo "Installing nats-server and redis-server, to compare with" >&2
    export DEBIAN_FRONTEND=noninteractive
    policy=/usr/sbin/policy-rc.d
    if [ ! -e "$policy" ]; then
      printf '#!/bin/sh\nexit 101\n' >"$policy"
      chmod +x "$policy"
      trap 'rm -f "$policy"' EXIT
    fi
    apt-get -o DPkg::Lock::Timeout=300 update -qq >&2
    apt-get -o DPkg::Lock::Timeout=300 install -y -qq --no-install-recommends nats-server redis-server >&2
    if [ -n "$(trap -p EXIT)" ]; then
      rm -f "$policy"
      trap - EXIT
    fi
  else
    echo "nats-server or redis-server is missing: buffers on disk are compared without it" >&2
  fi
fi
exec node --import tsx test/bench/main.ts "$@"
