import { readFileSync } from "node:fs";
import fc from "fast-check";
import { expect, test } from "vitest";
import { fakeCatalog } from "./catalog.fake.ts";
import { corpus, corpusCases } from "./corpus.fake.ts";
import type { LoadResult } from "./load-pipeline.ts";
import { loadPipeline } from "./load-pipeline.ts";
import { renderConfig } from "./render/render-config.ts";
import { renderMermaid } from "./render/render-mermaid.ts";
import { renderProblems } from "./render/render-problems.ts";
import { renderText } from "./render/render-text.ts";

const seeds = [...corpusCases("valid"), ...corpusCases("broken")].map((item) => readFileSync(item.path));

const tokens = [
  "{",
  "}",
  "[",
  "]",
  ":",
  ": ",
  "- ",
  "? ",
  ",",
  "#",
  "&a ",
  "*a",
  "<<: *a\n",
  "!reset ",
  "!override ",
  "!!int ",
  "|\n",
  ">-\n",
  "'",
  '"',
  "$",
  "${",
  "${A:-",
  "${A:?x}",
  "$$",
  "\t",
  "\n",
  "\r\n",
  "\0",
  "\u2028",
  "\ufeff",
  "---\n",
  "...\n",
  "%YAML 1.2\n",
  "null",
  "true",
  "-1",
  "1e999",
  ".nan",
  "0x10",
  "__proto__",
  "constructor",
  "inputs: [out]",
  "with: {}",
  "x-a: ",
  "include: [.]\n",
  "uses: filter",
  "image: x",
  "replicas: 999999999",
  "99999999999999999999",
  "\u{1f30d}",
  "é",
];

type Mutation = (text: Buffer) => Buffer;

const lines = (change: (all: string[], a: number, b: number) => string[]) =>
  fc.tuple(fc.nat(), fc.nat()).map(([a, b]): Mutation => {
    return (text) => {
      const all = text.toString("latin1").split("\n");
      return Buffer.from(change(all, a % all.length, b % all.length).join("\n"), "latin1");
    };
  });

const insertion = (token: fc.Arbitrary<Buffer>) =>
  fc.tuple(fc.nat(), token).map(([at, inserted]): Mutation => {
    return (text) => {
      const index = text.length === 0 ? 0 : at % text.length;
      return Buffer.concat([text.subarray(0, index), inserted, text.subarray(index)]);
    };
  });

const mutation: fc.Arbitrary<Mutation> = fc.oneof(
  lines((all, a) => all.toSpliced(a, 1)),
  lines((all, a) => all.toSpliced(a, 0, all[a] ?? "")),
  lines((all, a, b) => all.with(a, all[b] ?? "").with(b, all[a] ?? "")),
  lines((all, a, b) => all.with(a, `${" ".repeat(b % 5)}${all[a]?.trimStart()}`)),
  insertion(fc.constantFrom(...tokens).map((token) => Buffer.from(token))),
  insertion(fc.uint8Array({ minLength: 1, maxLength: 3 }).map((bytes) => Buffer.from(bytes))),
  fc.tuple(fc.nat(), fc.nat({ max: 255 })).map(([at, byte]): Mutation => {
    return (text) => {
      const copy = Buffer.from(text);
      if (copy.length > 0) copy[at % copy.length] = byte;
      return copy;
    };
  }),
  fc.tuple(fc.nat(), fc.nat({ max: 30 })).map(([at, length]): Mutation => {
    return (text) => {
      const index = text.length === 0 ? 0 : at % text.length;
      return Buffer.concat([text.subarray(0, index), text.subarray(index + length)]);
    };
  }),
);

const mutated = fc
  .tuple(fc.constantFrom(...seeds), fc.array(mutation, { minLength: 1, maxLength: 6 }))
  .map(([seed, mutations]) => mutations.reduce<Buffer>((text, mutate) => mutate(text), seed));

function load(stdin: Uint8Array | string): Promise<LoadResult> {
  const env = { HOME: "/home/user", USER_NAME: "ada", DB_PASSWORD: "hunter2" };
  return loadPipeline({ files: ["-"], stdin, directory: `${corpus}/valid`, env, catalog: fakeCatalog });
}

async function isPipelineOrReport(text: Uint8Array): Promise<void> {
  const result = await load(text);
  const problems = result.ok ? result.warnings : result.problems;
  for (const { code, message, fix, position } of problems) {
    expect(code).toMatch(/^pipeline\/[a-z0-9-]+$/);
    expect(message).not.toBe("");
    expect(fix ?? "").not.toBe("");
    const count = result.texts.get(position.file)?.split("\n").length ?? 1;
    expect(position.line).toBeGreaterThanOrEqual(1);
    expect(position.line).toBeLessThanOrEqual(count);
    expect(position.column).toBeGreaterThanOrEqual(1);
  }
  renderProblems(problems, { texts: result.texts });
  if (!result.ok) {
    expect(problems.some((problem) => problem.severity === "error")).toBe(true);
    return;
  }
  expect(problems.every((problem) => problem.severity === "warning")).toBe(true);
  expect(JSON.parse(JSON.stringify(result.pipeline))).toEqual(result.pipeline);
  expect(renderText(result.pipeline)).not.toBe("");
  renderMermaid(result.pipeline);
  const again = await load(renderConfig(result.pipeline));
  if (!again.ok) throw new Error(renderProblems(again.problems, { texts: again.texts }));
  expect(again.pipeline).toEqual({ ...result.pipeline, files: again.pipeline.files });
}

test("whatever is done to a file, the answer is a valid pipeline that prints and loads again, or a report", async () => {
  const runs = Number(process.env.FUZZ_RUNS ?? 700);
  await fc.assert(fc.asyncProperty(mutated, isPipelineOrReport), {
    numRuns: runs,
    interruptAfterTimeLimit: 20_000,
    markInterruptAsFailure: false,
  });
}, 60_000);

test("any bytes at all give a report", async () => {
  await fc.assert(
    fc.asyncProperty(fc.uint8Array({ maxLength: 200 }), async (bytes) => {
      expect((await load(bytes)).ok).toBe(false);
    }),
    { numRuns: 300 },
  );
});
