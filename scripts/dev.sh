#!/usr/bin/env bash
# Runs a pipeline on the flowctl of this repository and follows edits of both: npm run dev -- <pipeline.yaml> [options]
set -euo pipefail
cd "$(dirname "$0")/.."

bash scripts/ensure-dependencies.sh >&2
exec node --import tsx scripts/dev.ts "$@"
