#!/usr/bin/env bash
# Changes and breaks a running pipeline at random and proves what its sinks must have:
#   npm run chaos -- --minutes N --driver docker|process [--seed S]
# On Docker it starts an engine of its own, for which it has to be root, unless --shared-engine is given.
set -euo pipefail
cd "$(dirname "$0")/.."

bash scripts/ensure-dependencies.sh >&2
exec node --import tsx test/chaos/harness/main.ts "$@"
