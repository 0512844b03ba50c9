#!/usr/bin/env bash
# Sends hostile inputs to a port of a real server, and checks that whoever is honest beside them loses nothing:
#   npm run fuzz -- --port control|identity|streams|http|health|supervisor|pipeline [--inputs N] [--seed S] [--from K] [--all]
set -euo pipefail
cd "$(dirname "$0")/.."

bash scripts/ensure-dependencies.sh >&2
exec node --import tsx test/fuzz/main.ts "$@"
