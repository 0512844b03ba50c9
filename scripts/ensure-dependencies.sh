#!/usr/bin/env bash
# Installs the packages of package-lock.json when node_modules lacks any of them in that version; else does nothing.
set -euo pipefail
cd "$(dirname "$0")/.."

node -e '
  const [major, minor] = process.versions.node.split(".").map(Number);
  if (major > 20 || (major === 20 && minor >= 19)) process.exit(0);
  console.error(`flowctl needs Node.js 20.19 or newer, and this is ${process.versions.node}: see https://nodejs.org`);
  process.exit(1);
'

installed() {
  node -e '
    const { readFileSync } = require("node:fs");
    const packages = (file) => JSON.parse(readFileSync(file, "utf8")).packages;
    const has = packages("node_modules/.package-lock.json");
    const wants = Object.entries(packages("package-lock.json")).filter(([path, wanted]) => path !== "" && !wanted.optional);
    process.exit(wants.every(([path, wanted]) => has[path]?.version === wanted.version) ? 0 : 1);
  ' 2>/dev/null
}

if ! installed; then
  echo "Installing the packages of package-lock.json"
  npm ci --no-audit --no-fund --loglevel=error
fi
