#!/usr/bin/env bash
# Step of the GitHub action: runs the pipeline to its end. Errors become annotations, what flowed the job summary.
set -euo pipefail
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
result=${RUNNER_TEMP:?this runs as a step of a GitHub workflow}/flowctl-run.json

arguments=(--log-level "${FLOWCTL_ACTION_LOG_LEVEL:-info}")
for file in ${FLOWCTL_ACTION_FILES:?the input file is empty}; do arguments+=(-f "$file"); done
[ -z "${FLOWCTL_ACTION_DRIVER:-}" ] || arguments+=(--driver "$FLOWCTL_ACTION_DRIVER")

status=0
flowctl run --json "${arguments[@]}" 2>&1 | node "$here/show-run.mjs" "$result" || status=${PIPESTATUS[0]}
echo "result=$result" >>"$GITHUB_OUTPUT"
node "$here/annotate.mjs" "$result"
node "$here/summarize.mjs" "$result" "$status" >>"$GITHUB_STEP_SUMMARY"
exit "$status"
