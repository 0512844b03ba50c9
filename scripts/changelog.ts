// The two things that a release does with CHANGELOG.md:
//   npx tsx scripts/changelog.ts release 1.2.0 [--date 2026-12-01]    makes [Unreleased] the section of 1.2.0
//   npx tsx scripts/changelog.ts notes 1.2.0                          prints that section, without its heading
import { readFile, writeFile } from "node:fs/promises";
import { resolve } from "node:path";
import { parseArgs } from "node:util";

const UNRELEASED = "## [Unreleased]";

/** The text after a heading, up to the next of its level; undefined when there is none. */
function sectionOf(text: string, isHeading: (line: string) => boolean): readonly string[] | undefined {
  const lines = text.split("\n");
  const start = lines.findIndex(isHeading);
  if (start < 0) return undefined;
  const length = lines.slice(start + 1).findIndex((line) => line.startsWith("## "));
  return lines.slice(start + 1, length < 0 ? undefined : start + 1 + length);
}

function released(text: string, version: string, date: string): string {
  if (sectionOf(text, (line) => line.startsWith(`## [${version}]`)) !== undefined)
    throw new Error(`CHANGELOG.md has a section of ${version} already`);
  const section = sectionOf(text, (line) => line === UNRELEASED);
  if (section === undefined) throw new Error(`CHANGELOG.md has no ${UNRELEASED}`);
  if (!section.some((line) => line.startsWith("- "))) throw new Error("CHANGELOG.md lists nothing that is unreleased");
  return text.replace(`${UNRELEASED}\n`, `${UNRELEASED}\n\n## [${version}] - ${date}\n`);
}

const today = new Date().toISOString().slice(0, 10);
const { values, positionals } = parseArgs({
  options: { date: { type: "string", default: today } },
  allowPositionals: true,
});
const [command, version] = positionals;
if (version === undefined || !/^\d+\.\d+\.\d+(-[\w.]+)?$/.test(version)) throw new Error("give the version, as 1.2.0");
const path = resolve("CHANGELOG.md");
const text = await readFile(path, "utf8");
if (command === "release") await writeFile(path, released(text, version, values.date));
else if (command === "notes") {
  const section = sectionOf(text, (line) => line.startsWith(`## [${version}]`));
  if (section === undefined) throw new Error(`CHANGELOG.md has no section of ${version}`);
  console.log(section.join("\n").trim());
} else throw new Error(`there is no ${command}: release or notes`);
