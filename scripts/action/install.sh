#!/usr/bin/env bash
# Step of the GitHub action: puts `flowctl` on the PATH of the steps that follow.
set -euo pipefail

action=$(cd "$(dirname "${BASH_SOURCE[0]}")/../.." && pwd)
prefix=${RUNNER_TEMP:?this runs as a step of a GitHub workflow}/flowctl

if [ -n "${FLOWCTL_ACTION_VERSION:-}" ]; then
  npm install --global --prefix "$prefix" --no-audit --no-fund --loglevel=error "flowctl@$FLOWCTL_ACTION_VERSION"
else
  bash "$action/scripts/ensure-dependencies.sh"
  node "$action/scripts/build.mjs"
  mkdir -p "$prefix/bin"
  ln -sfn "$action/dist/flowctl.js" "$prefix/bin/flowctl"
fi
echo "$prefix/bin" >>"$GITHUB_PATH"
"$prefix/bin/flowctl" --version
