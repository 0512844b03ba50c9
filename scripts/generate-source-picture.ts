// Draws the folders of src/ and who imports whom into docs/architecture.md, between two comments; with --check only says whether
// that is up to date, and fails if not. An arrow that follows from others is left out: who imports `sdk` may import what `sdk` does.
import { readFile, writeFile } from "node:fs/promises";
import { join, resolve } from "node:path";
import { cruise, type ICruiseResult } from "dependency-cruiser";

const root = resolve(import.meta.dirname, "..");
const page = join(root, "docs/architecture.md");
const begin = "<!-- Made by scripts/generate-source-picture.ts from the imports; do not edit. -->";
const end = "<!-- End of what is made. -->";

/** The imports between the folders of src/, tests and fakes left out. */
async function imports(): Promise<ReadonlyMap<string, ReadonlySet<string>>> {
  const { output } = await cruise(
    ["src"],
    { baseDir: root, exclude: "\\.(test|fake)\\.ts$|/fixtures/", includeOnly: "^src/", tsPreCompilationDeps: true },
    undefined,
    undefined,
  );
  const found = new Map<string, Set<string>>();
  const folderOf = (path: string): string => path.split("/")[1] ?? "";
  for (const { source, dependencies } of (output as ICruiseResult).modules) {
    const from = folderOf(source);
    const targets = found.get(from) ?? new Set();
    for (const { resolved } of dependencies) if (folderOf(resolved) !== from) targets.add(folderOf(resolved));
    found.set(from, targets);
  }
  return found;
}

/** The arrows without those that follow from others. Needs a graph without circles, which lint sees to. */
function reduced(graph: ReadonlyMap<string, ReadonlySet<string>>): readonly (readonly [string, string])[] {
  const reaches = (from: string, to: string): boolean =>
    [...(graph.get(from) ?? [])].some((next) => next === to || reaches(next, to));
  return [...graph].flatMap(([from, targets]) =>
    [...targets]
      .filter((to) => ![...targets].some((other) => other !== to && reaches(other, to)))
      .map((to) => [from, to] as const),
  );
}

const arrows = reduced(await imports()).map(([from, to]) => `  ${from} --> ${to}`);
const picture = [begin, "", "```mermaid", "flowchart TD", ...arrows.sort(), "```", "", end].join("\n");
const before = await readFile(page, "utf8");
const [head, rest] = [before.indexOf(begin), before.indexOf(end)];
if (head === -1 || rest === -1) throw new Error(`${page} lacks the comments between which the picture belongs`);
const after = before.slice(0, head) + picture + before.slice(rest + end.length);
if (after !== before && process.argv.includes("--check")) {
  console.error("docs/architecture.md is not up to date: run `npx tsx scripts/generate-source-picture.ts`");
  process.exit(1);
}
if (after !== before) await writeFile(page, after);
