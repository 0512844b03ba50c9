// Writes docs/reference/cli.md from the commands themselves; with --check only says whether it is up to date.
import { mkdir, readFile, writeFile } from "node:fs/promises";
import { dirname, join, resolve } from "node:path";
import { cliReference } from "../src/cli/reference.ts";

const path = join(resolve(import.meta.dirname, ".."), "docs/reference/cli.md");
const text = cliReference();
if (process.argv.includes("--check")) {
  const present = await readFile(path, "utf8").catch(() => "");
  if (present !== text) {
    console.error(`${path} is out of date: run node --import tsx scripts/generate-cli-docs.ts`);
    process.exit(1);
  }
} else {
  await mkdir(dirname(path), { recursive: true });
  await writeFile(path, text);
}
