#!/usr/bin/env bash
# Step of the GitHub action: checks the pipeline file; every problem becomes an annotation at its line.
set -euo pipefail
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
result=${RUNNER_TEMP:?this runs as a step of a GitHub workflow}/flowctl-validate.json

arguments=()
for file in ${FLOWCTL_ACTION_FILES:?the input file is empty}; do arguments+=(-f "$file"); done
[ -z "${FLOWCTL_ACTION_DRIVER:-}" ] || arguments+=(--driver "$FLOWCTL_ACTION_DRIVER")

status=0
flowctl validate --json "${arguments[@]}" >"$result" 2>&1 || status=$?
node "$here/annotate.mjs" "$result"
exit "$status"
