#!/usr/bin/env bash
# Runs every test, from a bare machine on: npm test [-- <arguments of vitest>]
#
# Needs Node.js and npm; on Debian, as root, what else is missing is installed, and a Docker engine is started when none
# answers. What this script started it ends, whatever happens. FLOWCTL_TEST_SKIP=docker leaves out the tests that need
# an engine, and postgres, zsh or fish beside it those that need that program: only on request, because a run without them
# proves half.
set -euo pipefail
cd "$(dirname "$0")/.."

work=$(mktemp -d)
engine_pid=
vitest_pid=

alive() { kill -0 "$1" 2>/dev/null; }

# Ends a process that this script started: asked first, then made to.
finish() {
  local pid=$1 name=$2 tries=0
  alive "$pid" || return 0
  kill -TERM "$pid" 2>/dev/null || true
  while alive "$pid" && [ "$tries" -lt 150 ]; do
    sleep 0.2
    tries=$((tries + 1))
  done
  if alive "$pid"; then
    echo "$name did not end when asked to, and is killed" >&2
    kill -KILL "$pid" 2>/dev/null || true
  fi
  wait "$pid" 2>/dev/null || true
}

clean_up() {
  local status=$?
  trap - EXIT INT TERM HUP
  [ -z "$vitest_pid" ] || finish "$vitest_pid" vitest
  [ -z "$engine_pid" ] || finish "$engine_pid" "the Docker engine"
  rm -rf "$work"
  exit "$status"
}
trap clean_up EXIT
trap 'exit 130' INT
trap 'exit 143' TERM
trap 'exit 129' HUP

skips() { [[ ",${FLOWCTL_TEST_SKIP:-}," == *",$1,"* ]]; }

start_engine() {
  bash scripts/install-docker.sh
  # An engine may have come up with its installation.
  if docker info >/dev/null 2>&1; then return; fi
  echo "Starting a Docker engine for this run"
  setsid dockerd >"$work/dockerd.log" 2>&1 &
  engine_pid=$!
  for _ in $(seq 1 150); do
    if docker info >/dev/null 2>&1; then return; fi
    alive "$engine_pid" || break
    sleep 0.2
  done
  echo "The Docker engine does not answer. Its last words:" >&2
  tail -n 20 "$work/dockerd.log" >&2
  exit 1
}

bash scripts/ensure-dependencies.sh
node scripts/build.mjs --clean

if skips docker; then
  echo "Without the tests that need Docker: FLOWCTL_TEST_SKIP=docker"
elif docker info >/dev/null 2>&1; then
  echo "Using the Docker engine that answers: $(docker version --format '{{.Server.Version}}')"
elif [ -n "${DOCKER_HOST:-}" ]; then
  echo "No Docker engine answers at DOCKER_HOST=$DOCKER_HOST. Start it, or unset DOCKER_HOST, or leave its tests out with FLOWCTL_TEST_SKIP=docker." >&2
  exit 1
elif [ "$(id -u)" = 0 ] && [ -e /etc/debian_version ]; then
  start_engine
else
  echo "The tests need a Docker engine and none answers: install and start Docker (https://docs.docker.com/engine/install)," >&2
  echo "or leave out the tests that need it with FLOWCTL_TEST_SKIP=docker." >&2
  exit 1
fi
bash scripts/install-test-servers.sh
if ! skips docker; then
  bash scripts/python-base-image.sh >/dev/null
fi

# What the engine holds that a test could leave: containers, networks and volumes by kind and name.
engine_holds() {
  skips docker || {
    docker ps -a --format 'container {{.Names}}'
    docker network ls --format 'network {{.Name}}'
    docker volume ls --format 'volume {{.Name}}'
  } | sort
}
engine_holds >"$work/before.txt"

# Every Node.js process would read those certificates when it starts, and that takes longer than all else that it does then.
unset NODE_EXTRA_CA_CERTS
set +e
node node_modules/vitest/vitest.mjs run --reporter=default --reporter=json --outputFile.json="$work/results.json" "$@" &
vitest_pid=$!
wait "$vitest_pid"
status=$?
vitest_pid=
set -e

engine_holds >"$work/after.txt"
if left=$(comm -13 "$work/before.txt" "$work/after.txt") && [ -n "$left" ]; then
  echo "Left in the Docker engine (by tests, or by something else that used it meanwhile):"
  echo "$left"
fi

# The closing line is for machines too, so it stands alone.
node -e '
  const { existsSync, readFileSync } = require("node:fs");
  const [, file, status] = process.argv;
  const results = existsSync(file) ? JSON.parse(readFileSync(file, "utf8")) : undefined;
  const passed = results?.numPassedTests ?? 0;
  const brokenFiles = (results?.testResults ?? []).filter((suite) => suite.status === "failed" && suite.assertionResults.every((test) => test.status !== "failed"));
  const failed = (results?.numFailedTests ?? 0) + brokenFiles.length;
  const skipped = results?.numPendingTests ?? 0;
  for (const suite of results?.testResults ?? []) {
    for (const test of suite.assertionResults) {
      if (test.status === "failed") console.log(`failed: ${suite.name.replace(`${process.cwd()}/`, "")} > ${test.fullName}`);
    }
  }
  for (const suite of brokenFiles) console.log(`failed: ${suite.name.replace(`${process.cwd()}/`, "")} (the file itself)`);
  if (passed + failed === 0) console.log("No test ran.");
  if (status !== "0" && failed === 0) console.log(`vitest ended with code ${status}: see above`);
  console.log(`${passed} passed, ${failed} failed${skipped > 0 ? `, ${skipped} skipped` : ""}`);
  process.exit(passed + failed === 0 || failed > 0 ? 1 : Number(status));
' "$work/results.json" "$status"
