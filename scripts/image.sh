#!/usr/bin/env bash
# Builds the flowctl image from this repository, just as `flowctl up` does from the installed package, and says how big
# it is and what is in it.
#   FLOWCTL_BASE_IMAGE   a Node image to build on; else one that the engine has, one that can be pulled, or this
#                        machine's own Node
set -euo pipefail
cd "$(dirname "$0")/.."
bash scripts/ensure-dependencies.sh
node scripts/build.mjs --no-types
exec node --import tsx scripts/build-image.ts
