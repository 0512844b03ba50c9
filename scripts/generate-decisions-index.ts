// Writes docs/decisions/README.md, the list of all decisions, from their files; with --check only says whether it is up to date,
// and fails if not. A decision that another one has replaced says so in a line that begins with **Superseded** or **Changed**.
import { readdir, readFile, writeFile } from "node:fs/promises";
import { join, resolve } from "node:path";

const folder = join(resolve(import.meta.dirname, ".."), "docs/decisions");
const page = join(folder, "README.md");
const files = (await readdir(folder)).filter((name) => /^\d{4}-\d\d-\d\d-.*\.md$/.test(name)).sort();

const rows = await Promise.all(
  files.map(async (name) => {
    const text = await readFile(join(folder, name), "utf8");
    const title = /^# (.+)$/m.exec(text)?.[1] ?? name;
    const [, later = ""] = /^\*\*(?:Superseded|Changed)\*\*:? (.+)$/m.exec(text) ?? [];
    return { date: name.slice(0, 10), title, name, later };
  }),
);
const table = rows
  .reverse()
  .map(
    ({ date, title, name, later }) =>
      `| ${date} | [${title}](${name})${later === "" ? "" : `, changed since: ${later}`} |`,
  );
const text = `<!-- Made by scripts/generate-decisions-index.ts from the decisions; do not edit. -->
# Decisions

Why flowctl is as it is, where the code cannot say it: each with its context, the decision and its consequence. A decision is of its
date, and so are the figures in it: [performance](../performance.md) has those of today, and a decision that was changed later says by
which one.

| date | decision |
|---|---|
${table.join("\n")}
`;
const before = await readFile(page, "utf8").catch(() => "");
if (text !== before && process.argv.includes("--check")) {
  console.error("docs/decisions/README.md is not up to date: run `npx tsx scripts/generate-decisions-index.ts`");
  process.exit(1);
}
if (text !== before) await writeFile(page, text);
