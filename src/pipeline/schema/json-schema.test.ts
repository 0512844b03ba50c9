import { readFileSync } from "node:fs";
import { Ajv } from "ajv";
import addFormatsModule from "ajv-formats";
import { describe, expect, test } from "vitest";
import { parse } from "yaml";
import { fakeCatalog } from "../catalog.fake.ts";
import type { CorpusCase } from "../corpus.fake.ts";
import { corpusCases } from "../corpus.fake.ts";
import { loadPipeline } from "../load-pipeline.ts";
import { ProblemList } from "../problem.ts";
import { readFiles } from "../source/read-files.ts";
import { plainFile } from "./check-structure.ts";
import { pipelineJsonSchema } from "./json-schema.ts";
import { pipelineFileSchema } from "./pipeline-file.ts";

const ajv = new Ajv({ strict: false, allErrors: true });
addFormatsModule.default(ajv);
const validate = ajv.compile(pipelineJsonSchema(fakeCatalog));

/** Codes of mistakes that a schema can see. */
const structural = new Set(
  ["unknown-key", "unsupported-key", "missing-key", "wrong-type", "invalid-value"].map((slug) => `pipeline/${slug}`),
);

/** The value that the schemas are about: interpolated and merged. Undefined where the text itself is broken. */
async function plainOf({ options }: CorpusCase): Promise<Record<string, unknown> | undefined> {
  const problems = new ProblemList();
  const root = await readFiles(
    {
      paths: options.files,
      directory: options.files[0]?.replace(/\/[^/]*$/, "") ?? "/",
      env: new Map(Object.entries(options.env).map(([key, value]) => [key, value ?? ""])),
      chain: [],
    },
    { problems, files: new Map(), looked: new Set(), signal: undefined, stdin: undefined },
  );
  return root === undefined || problems.hasErrors ? undefined : plainFile(root);
}

describe("the JSON Schema", () => {
  test.for(corpusCases("valid"))("accepts the valid $name as an editor sees it", ({ path }) => {
    validate(parse(readFileSync(path, "utf8"), { merge: true, logLevel: "silent" }));
    expect(validate.errors ?? []).toEqual([]);
  });

  // A quoted variable becomes a number or a flag where a built-in wants one, which JSON Schema has no words for.
  const withoutQuotedNumbers = corpusCases("valid").filter((item) => item.name !== "interpolation.yaml");
  test.for(withoutQuotedNumbers)("accepts the valid $name once it is interpolated and merged", async (item) => {
    validate(await plainOf(item));
    expect(validate.errors ?? []).toEqual([]);
  });

  test.for(corpusCases("broken"))("agrees with the zod schema on the broken $name", async (item) => {
    const plain = await plainOf(item);
    if (plain === undefined) return;
    const result = await loadPipeline(item.options);
    const errors = result.ok ? [] : result.problems.filter((problem) => problem.severity === "error");
    const onlyStructural = errors.every((problem) => structural.has(problem.code));
    const accepted = validate(plain);
    if (onlyStructural) expect(accepted).toBe(false);
    if (!accepted) expect(errors).not.toEqual([]);
  });

  test("refuses in the broken files what the zod schema refuses, and hardly anything else", async () => {
    const refused = { both: 0, zodAlone: [] as string[] };
    for (const item of corpusCases("broken")) {
      const plain = await plainOf(item);
      if (plain === undefined) continue;
      const stripped = Object.fromEntries(Object.entries(plain).filter(([key]) => !key.startsWith("x-")));
      if (pipelineFileSchema.safeParse(stripped).success) continue;
      if (validate(plain)) refused.zodAlone.push(item.name);
      else refused.both++;
    }
    expect(refused.zodAlone).toEqual([]);
    expect(refused.both).toBeGreaterThan(15);
  });

  test("accepts variables where numbers, flags, choices and texts of a form are expected", () => {
    const file = {
      driver: "${DRIVER}",
      sources: {
        feed: { uses: "generator", with: { count: "${COUNT:-3}" }, deploy: { replicas: "$N" }, read_only: "${RO}" },
      },
      sinks: { out: { uses: "${SINK}", inputs: ["feed"], stop_grace_period: "${GRACE}" } },
    };
    validate(file);
    expect(validate.errors ?? []).toEqual([]);
  });

  test("knows the settings of each built-in, by type", () => {
    const withSettings = (settings: unknown) => ({ sources: { s: { uses: "file", with: settings } } });
    expect(validate(withSettings({ path: "x", follow: true }))).toBe(true);
    expect(validate(withSettings({ path: "x", folow: true }))).toBe(false);
    expect(validate({ sources: { s: { uses: "file" } } })).toBe(false);
    expect(validate({ sinks: { s: { uses: "file", with: { path: "x", follow: true } } } })).toBe(false);
  });

  test("admits `x-` keys in every mapping of fixed keys, and nowhere else", () => {
    const source = { uses: "generator", "x-note": 1, deploy: { "x-more": [] } };
    expect(validate({ "x-top": {}, sources: { s: source } })).toBe(true);
    expect(validate({ sources: { s: { uses: "generator", with: { "x-note": 1 } } } })).toBe(false);
  });

  test("describes every key", () => {
    const missing: string[] = [];
    walk(pipelineJsonSchema(fakeCatalog), [], missing);
    expect(missing).toEqual([]);
  });
});

function walk(schema: unknown, path: readonly string[], missing: string[]): void {
  if (typeof schema !== "object" || schema === null || path.includes("then") || path.includes("if")) return;
  for (const [key, value] of Object.entries(schema)) {
    if (key === "properties") {
      for (const [name, child] of Object.entries(value as Record<string, Record<string, unknown>>)) {
        if (child.description === undefined) missing.push([...path, name].join("."));
      }
    }
    walk(value, [...path, key], missing);
  }
}
