#!/usr/bin/env bash
# Runs the example pipeline on real data: npm run demo [-- <arguments of flowctl run>]
#
# Needs Node.js and npm and nothing else. It runs on Docker when an engine answers, else on local processes; flowctl says
# which and why, prints what flowed, and leaves nothing running.
set -euo pipefail
cd "$(dirname "$0")/.."

bash scripts/ensure-dependencies.sh
node scripts/build.mjs
bash scripts/example-data.sh

echo
echo "A week of the world's earthquakes, as the USGS reported them: examples/quakes/pipeline.yaml"
echo
exec node dist/flowctl.js run "$@" examples/quakes/pipeline.yaml
