import { execFile } from "node:child_process";
import { mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, symlinkSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join, resolve } from "node:path";
import { promisify } from "node:util";
import { afterAll, beforeAll, describe, expect, it } from "vitest";

const root = resolve(import.meta.dirname, "../..");
const compiler = join(root, "node_modules/typescript/bin/tsc");

interface Block {
  /** `<page>:<line>` of the block. */
  readonly title: string;
  readonly page: string;
  readonly text: string;
}

const pages = [
  ...readdirSync(root).filter((name) => name.endsWith(".md")),
  ...readdirSync(join(root, "docs"), { recursive: true, encoding: "utf8" })
    .filter((name) => name.endsWith(".md"))
    .map((name) => join("docs", name)),
];

/** Every fenced TypeScript block that is a module: it imports something. Others are parts of one. */
const blocks = pages.flatMap((page) => {
  const text = readFileSync(join(root, page), "utf8");
  return [...text.matchAll(/^```(?:ts|typescript)\n(.*?)^```/gms)].flatMap((match): Block[] => {
    const [, body = ""] = match;
    const line = text.slice(0, match.index).split("\n").length;
    return /^import /m.test(body) ? [{ title: `${page}:${line}`, page, text: body }] : [];
  });
});

const GUIDE = "docs/guides/writing-a-component.md";

let folder: string;
beforeAll(() => {
  folder = mkdtempSync(join(tmpdir(), "flowctl-documentation-code-"));
  symlinkSync(join(root, "node_modules"), join(folder, "node_modules"));
});
afterAll(() => rmSync(folder, { recursive: true, force: true }));

/** What the compiler says of the modules when `flowctl/sdk` is that of the sources; empty when it is content. */
async function complaints(modules: readonly string[]): Promise<string> {
  const project = mkdtempSync(join(folder, "project-"));
  mkdirSync(join(project, "src"));
  for (const [index, text] of modules.entries()) writeFileSync(join(project, `src/block-${index}.ts`), text);
  const config = {
    extends: join(root, "tsconfig.json"),
    compilerOptions: {
      rootDir: "/",
      paths: { "flowctl/sdk": [join(root, "src/sdk/index.ts")] },
      typeRoots: [join(root, "node_modules/@types")],
      types: ["node"],
    },
    include: ["src"],
  };
  writeFileSync(join(project, "tsconfig.json"), JSON.stringify(config));
  writeFileSync(join(project, "package.json"), JSON.stringify({ type: "module" }));
  return promisify(execFile)(process.execPath, [compiler, "-p", project]).then(
    () => "",
    (error: { readonly stdout?: string }) => error.stdout || String(error),
  );
}

describe("TypeScript in the documentation", () => {
  it("is there to be checked: a source, a processor and a sink in the guide", () => {
    const guide = blocks.filter(({ page }) => page === GUIDE).map(({ text }) => text);
    for (const define of ["defineSource", "defineProcessor", "defineSink"])
      expect(guide.filter((text) => text.includes(`${define}<`) || text.includes(`${define}(`))).toHaveLength(1);
  });

  it("compiles against the SDK", async () => {
    expect(await complaints(blocks.map(({ text }) => text))).toBe("");
    expect(await complaints(['import { defineSauce } from "flowctl/sdk";\n'])).toContain("defineSauce");
  });

  it.each(blocks.filter(({ page }) => page === "README.md" || page === GUIDE))(
    "$title is a component in less than thirty lines",
    (block) => {
      expect(block.text.trimEnd().split("\n").length).toBeLessThan(30);
    },
  );
});
