import { mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join, resolve } from "node:path";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { builtinCatalog } from "../../src/components/catalog.ts";
import { loadPipeline } from "../../src/pipeline/load-pipeline.ts";

const root = resolve(import.meta.dirname, "../..");
/** What a document may leave out: files and values that the reader has. */
const readersOwn = ["pipeline/file-missing", "pipeline/path-missing", "pipeline/secret-unset"];

interface Block {
  readonly title: string;
  readonly text: string;
  /** Words after ```yaml; `broken` marks a file that is shown for its mistakes. */
  readonly marks: readonly string[];
}

const pages = [
  ...readdirSync(root).filter((name) => name.endsWith(".md")),
  ...readdirSync(join(root, "docs"), { recursive: true, encoding: "utf8" })
    .filter((name) => name.endsWith(".md"))
    .map((name) => join("docs", name)),
  ...readdirSync(join(root, "examples"), { recursive: true, encoding: "utf8" })
    .filter((name) => name.endsWith(".md") && !name.includes("node_modules"))
    .map((name) => join("examples", name)),
];

/** Every fenced YAML block that is a whole pipeline file: it has sources and sinks. Others are parts of one. */
const blocks = pages.flatMap((page) => {
  const text = readFileSync(join(root, page), "utf8");
  return [...text.matchAll(/^```ya?ml([^\n]*)\n(.*?)^```/gms)].flatMap((match): Block[] => {
    const [, marks = "", body = ""] = match;
    if (!/^sources:/m.test(body) || !/^sinks:/m.test(body)) return [];
    const line = text.slice(0, match.index).split("\n").length;
    return [{ title: `${page}:${line}`, text: body, marks: marks.trim().split(/\s+/) }];
  });
});

let folder: string;
beforeAll(() => {
  folder = mkdtempSync(join(tmpdir(), "flowctl-documentation-"));
});
afterAll(() => rmSync(folder, { recursive: true, force: true }));

async function problemsOf(block: Block): Promise<readonly string[]> {
  const file = join(folder, "pipeline.yaml");
  writeFileSync(file, block.text);
  const variables = [...block.text.matchAll(/\$\{?([A-Z][A-Z0-9_]*)/g)].map((match) => match[1]!);
  const env = Object.fromEntries(variables.map((name) => [name, "http://127.0.0.1/value"]));
  const result = await loadPipeline({ files: [file], env, catalog: builtinCatalog });
  const problems = result.ok ? [] : result.problems.filter((problem) => problem.severity === "error");
  return problems
    .filter((problem) => !readersOwn.includes(problem.code))
    .map(({ position, code, message }) => `line ${position.line} of the block: ${message} [${code}]`);
}

describe("pipeline files in the documentation", () => {
  it("are there to be checked", () => {
    expect(blocks.map((block) => block.title).filter((title) => title.startsWith("README.md:"))).not.toEqual([]);
  });

  it.each(blocks)("$title is what it is shown for", async (block) => {
    const problems = await problemsOf(block);
    if (block.marks.includes("broken")) expect(problems).not.toEqual([]);
    else expect(problems).toEqual([]);
  });
});
