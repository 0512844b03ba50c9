#!/usr/bin/env bash
# Puts the data that examples read where they look for it, from the npm package vega-datasets (a development package).
set -euo pipefail
cd "$(dirname "$0")/.."

place() {
  local from=node_modules/vega-datasets/data/$1 to=examples/$2/data/$1
  if cmp -s "$from" "$to"; then return; fi
  mkdir -p "$(dirname "$to")"
  cp "$from" "$to"
}

place earthquakes.json quakes
place flights-2k.json flights
