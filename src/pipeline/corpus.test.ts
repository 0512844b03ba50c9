import { readFileSync, writeFileSync } from "node:fs";
import { describe, expect, test } from "vitest";
import { corpus, corpusCases } from "./corpus.fake.ts";
import { loadPipeline } from "./load-pipeline.ts";
import type { Problem } from "./problem.ts";
import { configFile, renderConfig } from "./render/render-config.ts";

/** The report as the corpus keeps it: `code:line:column message`, then the fix. Other files than the first are named. */
function report(problems: readonly Problem[], main: string): string {
  return problems
    .map(({ code, severity, message, fix, position }) => {
      const file = position.file === main ? "" : `${position.file} `;
      const mark = severity === "warning" ? "warning " : "";
      return `${file}${mark}${code}:${position.line}:${position.column} ${message}\n  ${fix}\n`;
    })
    .join("")
    .replaceAll(`${corpus}/`, "");
}

describe("a broken file", () => {
  test.for(corpusCases("broken"))("$name is reported as expected", async ({ path, options }) => {
    const result = await loadPipeline(options);
    const found = result.ok ? "no problems\n" : report(result.problems, path);
    const expected = path.replace(/\.yaml$/, ".expected");
    if (process.env.UPDATE_CORPUS === "1") writeFileSync(expected, found);
    expect(found).toBe(readFileSync(expected, "utf8"));
    expect(result.ok).toBe(false);
  });

  test.for(corpusCases("broken"))("$name has a fix and an exact place for every problem", async ({ options }) => {
    const result = await loadPipeline(options);
    if (result.ok) throw new Error("the file is not broken");
    for (const problem of result.problems) {
      expect(problem.fix).toMatch(/\S.*[.!?}"]$/);
      expect(problem.message).not.toMatch(/Invalid input|expected string|undefined|\[object/);
      const text = result.texts.get(problem.position.file);
      if (text === undefined) continue;
      const line = text.split("\n")[problem.position.line - 1];
      expect(line).toBeDefined();
      expect(problem.position.column).toBeLessThanOrEqual((line ?? "").length + 1);
    }
  });
});

describe("a valid file", () => {
  test.for(corpusCases("valid"))("$name loads", async ({ path, options }) => {
    const result = await loadPipeline(options);
    const found = result.ok ? "" : report(result.problems, path);
    expect(found).toBe("");
    if (!result.ok) return;
    const golden = `${JSON.stringify(result.pipeline, null, 1)}\n${report(result.warnings, path)}`.replaceAll(
      corpus,
      "",
    );
    const expected = path.replace(/\.yaml$/, ".expected");
    if (process.env.UPDATE_CORPUS === "1") writeFileSync(expected, golden);
    expect(golden).toBe(readFileSync(expected, "utf8"));
  });

  test.for(corpusCases("valid"))("$name printed by config loads to the same pipeline", async ({ options }) => {
    const first = await loadPipeline(options);
    if (!first.ok) throw new Error("the file is broken");
    const text = renderConfig(first.pipeline);
    const second = await loadPipeline({
      ...options,
      files: ["-"],
      stdin: text,
      directory: first.pipeline.directory,
      driver: undefined,
    });
    expect(second.ok ? "" : report(second.problems, "<stdin>")).toBe("");
    if (!second.ok) return;
    expect({ ...second.pipeline, files: [] }).toEqual({ ...first.pipeline, files: [] });
    expect(configFile(second.pipeline)).toEqual(configFile(first.pipeline));
    expect(text).not.toContain("hunter2");
  });
});
