// Writes the version of the package into the pages that build images on flowctl's own (`FROM flowctl:<version>`); with --check only
// says whether they name it, and fails if not. `npm version` runs it.
import { readdir, readFile, writeFile } from "node:fs/promises";
import { join, resolve } from "node:path";

const root = resolve(import.meta.dirname, "..");
const docs = join(root, "docs");
const { version } = JSON.parse(await readFile(join(root, "package.json"), "utf8")) as { version: string };
const names = await readdir(docs, { recursive: true }).catch(() => []);

for (const name of names.filter((file) => file.endsWith(".md") && !file.startsWith("decisions/"))) {
  const before = await readFile(join(docs, name), "utf8");
  const text = before.replaceAll(/^FROM flowctl:\S+/gm, `FROM flowctl:${version}`);
  if (text === before) continue;
  if (process.argv.includes("--check")) {
    console.error(`docs/${name} names another version: run \`npx tsx scripts/generate-docs-version.ts\``);
    process.exitCode = 1;
  } else await writeFile(join(docs, name), text);
}
