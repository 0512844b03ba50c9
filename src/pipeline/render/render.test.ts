import { join } from "node:path";
import { describe, expect, test } from "vitest";
import { fakeCatalog } from "../catalog.fake.ts";
import { corpus } from "../corpus.fake.ts";
import { loadPipeline } from "../load-pipeline.ts";
import type { Problem } from "../problem.ts";
import type { Paint } from "./paint.ts";
import { renderMermaid } from "./render-mermaid.ts";
import { problemRecords, renderProblems } from "./render-problems.ts";
import { renderText } from "./render-text.ts";

async function pipelineOf(text: string) {
  const result = await loadPipeline({ files: ["-"], stdin: text, env: {}, catalog: fakeCatalog });
  if (!result.ok) throw new Error(renderProblems(result.problems, { texts: result.texts }));
  return result.pipeline;
}

const filter = (inputs: string) => `{ uses: filter, with: { where: 'true' }, inputs: [${inputs}] }`;
const sink = (inputs: string) => `{ uses: stdout, inputs: [${inputs}] }`;
const lanes = (drawing: string) => drawing.split("\n").map((line) => line.replace(/ {2,}(\w+) .*/, "  $1"));

describe("the drawing of a topology", () => {
  test("is a line for a linear pipeline", async () => {
    const text = `sources: { feed: { uses: generator } }\nprocessors: { p: ${filter("feed")} }\nsinks: { out: ${sink("p")} }`;
    expect(lanes(renderText(await pipelineOf(text)))).toEqual(["●  feed", "│", "●  p", "│", "●  out", ""]);
  });

  test("opens a lane for each group of a fan-out", async () => {
    const text = `sources: { s: { uses: generator } }\nsinks: { a: ${sink("s")}, b: ${sink("s")}, c: ${sink("s")} }`;
    expect(lanes(renderText(await pipelineOf(text)))).toEqual([
      "●  s",
      "├─┬─╮",
      "● │ │  a",
      "  │ │",
      "  ● │  b",
      "    │",
      "    ●  c",
      "",
    ]);
  });

  test("brings lanes together in a fan-in", async () => {
    const text = `sources: { a: { uses: generator }, b: { uses: generator } }\nsinks: { o: ${sink("a, b")} }`;
    expect(lanes(renderText(await pipelineOf(text)))).toEqual(["●  a", "│", "│ ●  b", "│ │", "├─╯", "●  o", ""]);
  });

  test("shows a diamond", async () => {
    const text = `sources: { s: { uses: generator } }\nprocessors: { l: ${filter("s")}, r: ${filter("s")} }\nsinks: { o: ${sink("l, r")} }`;
    expect(lanes(renderText(await pipelineOf(text)))).toEqual([
      "●  s",
      "├─╮",
      "● │  l",
      "│ │",
      "│ ●  r",
      "│ │",
      "├─╯",
      "●  o",
      "",
    ]);
  });

  test("crosses lanes, dots dead letters, and says what runs where", async () => {
    const result = await loadPipeline({
      files: [join(corpus, "valid/design-example.yaml")],
      env: { DB_PASSWORD: "x" },
      catalog: fakeCatalog,
    });
    if (!result.ok) throw new Error("broken");
    const drawing = renderText(result.pipeline);
    expect(drawing).toContain("┆");
    expect(drawing).toContain("image ghcr.io/acme/enrich:1.4  ×2  dead letters → rejected");
    expect(drawing).toContain("only quake.v1");
  });

  test("has each component once, whatever the graph", async () => {
    const sources = Array.from({ length: 30 }, (_, index) => `s${index}: { uses: generator }`).join(", ");
    const all = Array.from({ length: 30 }, (_, index) => `s${index}`).join(", ");
    const drawing = renderText(
      await pipelineOf(`sources: { ${sources} }\nsinks: { a: ${sink(all)}, b: ${sink(all)} }`),
    );
    expect(drawing.match(/●/g)).toHaveLength(32);
  });
});

test("the Mermaid flowchart has neither ids nor labels that Mermaid would read otherwise", async () => {
  const text = `sources: { end: { command: ["a\\"b<c"] } }\nsinks: { graph: { uses: stdout, inputs: [{ from: end, types: [a] }] } }`;
  expect(renderMermaid(await pipelineOf(text))).toBe(
    'flowchart LR\n  n0(["end<br/>a#34;b#60;c"])\n  n1[("graph<br/>stdout")]\n  n0 -->|"a"| n1\n',
  );
});

describe("a report", () => {
  const problem: Problem = {
    code: "pipeline/unknown-input",
    severity: "error",
    message: "`out` takes events from `fede`",
    fix: "Did you mean `feed`?",
    position: { file: "/p/flow.yaml", line: 2, column: 7, length: 4 },
    path: "sinks.out.inputs[0]",
  };

  test("quotes the line and marks the spot", () => {
    const texts = new Map([["/p/flow.yaml", "sinks:\n\tout: fede\n"]]);
    expect(renderProblems([problem], { texts, relativeTo: "/p" })).toBe(
      [
        "flow.yaml:2:7: error: `out` takes events from `fede` [pipeline/unknown-input]",
        "  2 | \tout: fede",
        "    | \t     ^^^^",
        "  fix: Did you mean `feed`?",
        "",
      ].join("\n"),
    );
  });

  test("leaves the line out where the text is not known", () => {
    expect(renderProblems([problem], { texts: new Map() }).split("\n")).toHaveLength(3);
  });

  test("cuts long lines around the spot", () => {
    const texts = new Map([["/p/flow.yaml", `\n${"x".repeat(500)}fede${"y".repeat(500)}`]]);
    const far = { ...problem, position: { ...problem.position, column: 501 } };
    const [, quoted = "", mark = ""] = renderProblems([far], { texts }).split("\n");
    expect(quoted.length).toBeLessThan(140);
    expect(quoted.slice(mark.indexOf("^"), mark.lastIndexOf("^") + 1)).toBe("fede");
  });

  test("leaves colours to whoever paints, and terminals unharmed", () => {
    const paint: Paint = (role, text) => (role === "caret" ? `<${text}>` : text);
    const texts = new Map([["/p/flow.yaml", "\n\u001b[2J  fede"]]);
    const text = renderProblems([problem], { texts, paint });
    expect(text).toContain("<^^^^>");
    expect(text).not.toContain("\u001b");
  });

  test("is flat for machines", () => {
    expect(problemRecords([problem], "/p")).toEqual([
      {
        code: "pipeline/unknown-input",
        severity: "error",
        message: problem.message,
        fix: problem.fix,
        file: "flow.yaml",
        line: 2,
        column: 7,
        length: 4,
        path: "sinks.out.inputs[0]",
      },
    ]);
  });
});
