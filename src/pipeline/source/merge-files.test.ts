import { describe, expect, test } from "vitest";
import { ProblemList } from "../problem.ts";
import { applyResets, mergeFiles } from "./merge-files.ts";
import { readYaml } from "./read-yaml.ts";
import { sourceFile } from "./source-file.ts";
import type { MapNode } from "./source-node.ts";
import { nodeAt, toPlain } from "./source-node.ts";

function read(text: string, name = "base"): MapNode {
  const problems = new ProblemList();
  const root = readYaml(sourceFile(`/${name}.yaml`, "/", text), problems);
  if (root === undefined || problems.hasErrors) throw new Error(JSON.stringify(problems.sorted()));
  return root;
}

/** Merges the settings of one sink. */
function merged(base: string, over: string): unknown {
  const of = (settings: string) => `sinks: { out: ${settings} }`;
  const root = mergeFiles(applyResets(read(of(base))), read(of(over), "over"));
  const node = nodeAt(root, ["sinks", "out"]);
  return node === undefined ? undefined : toPlain(node);
}

describe("a later file", () => {
  test.for([
    ["replaces single values", "{ image: a }", "{ image: b }", { image: "b" }],
    ["adds keys", "{ image: a }", "{ user: b }", { image: "a", user: "b" }],
    [
      "merges mappings to any depth",
      "{ with: { a: { b: 1, c: 2 } } }",
      "{ with: { a: { c: 3 } } }",
      { with: { a: { b: 1, c: 3 } } },
    ],
    ["replaces lists in settings", "{ with: { a: [1, 2] } }", "{ with: { a: [3] } }", { with: { a: [3] } }],
    ["replaces the command", "{ command: [a, b] }", "{ command: [c] }", { command: ["c"] }],
    ["replaces the entrypoint, text or list", "{ entrypoint: [a, b] }", "{ entrypoint: c }", { entrypoint: "c" }],
    [
      "replaces the health check's test",
      "{ healthcheck: { test: [CMD, a], retries: 1 } }",
      "{ healthcheck: { test: [CMD, b] } }",
      { healthcheck: { test: ["CMD", "b"], retries: 1 } },
    ],
    ["appends ports", '{ ports: ["1:1"] }', '{ ports: ["2:2", "1:1"] }', { ports: ["1:1", "2:2"] }],
    [
      "appends ports in their long form, and keeps one of each",
      "{ ports: [{ target: 80, published: 8080 }] }",
      "{ ports: [{ target: 80, published: 8080, protocol: udp }, { target: 80, published: 8080 }] }",
      {
        ports: [
          { target: 80, published: 8080 },
          { target: 80, published: 8080, protocol: "udp" },
        ],
      },
    ],
    [
      "replaces mounts with the same target",
      '{ volumes: ["a:/x", "b:/y"] }',
      '{ volumes: ["c:/x:ro"] }',
      { volumes: ["c:/x:ro", "b:/y"] },
    ],
    [
      "replaces secrets with the same target",
      "{ secrets: [a, { source: b, target: t }] }",
      "{ secrets: [{ source: c, target: t }] }",
      { secrets: ["a", { source: "c", target: "t" }] },
    ],
    [
      "adds inputs, each once",
      "{ inputs: [a, b] }",
      "{ inputs: [{ from: a, types: [t] }, c] }",
      { inputs: [{ from: "a", types: ["t"] }, "b", "c"] },
    ],
    [
      "merges environments by name",
      "{ environment: { A: 1, B: 2 } }",
      "{ environment: { B: 3 } }",
      { environment: { A: 1, B: 3 } },
    ],
    [
      "merges an environment list with a mapping",
      "{ environment: [A=1, B=x=y, C] }",
      "{ environment: { B: 3 } }",
      { environment: { A: "1", B: 3, C: null } },
    ],
    [
      "merges two environment lists by name",
      "{ environment: [A=1, B=2] }",
      "{ environment: [B=3] }",
      { environment: { A: "1", B: "3" } },
    ],
    ["merges labels by name", "{ labels: [a=1] }", "{ labels: { b: 2 } }", { labels: { a: "1", b: 2 } }],
    [
      "merges extra hosts by name",
      '{ extra_hosts: ["a:1.1.1.1"] }',
      '{ extra_hosts: ["a=2.2.2.2"] }',
      { extra_hosts: { a: "2.2.2.2" } },
    ],
    [
      "merges dependencies by id",
      "{ depends_on: [a, b] }",
      "{ depends_on: { b: { condition: service_healthy } } }",
      { depends_on: { a: { condition: "service_started" }, b: { condition: "service_healthy" } } },
    ],
    [
      "merges the long form of build into the short one",
      "{ build: ./a }",
      "{ build: { target: t } }",
      { build: { context: "./a", target: "t" } },
    ],
    [
      "merges single values and lists of env_file",
      "{ env_file: a.env }",
      "{ env_file: [b.env] }",
      { env_file: ["a.env", "b.env"] },
    ],
    [
      "keeps a mapping when it has an empty value",
      "{ deploy: { replicas: 2 } }",
      "{ deploy: }",
      { deploy: { replicas: 2 } },
    ],
    ["takes keys away with !reset", "{ image: a, ports: [1] }", "{ ports: !reset [] }", { image: "a" }],
    [
      "replaces without merging with !override",
      "{ environment: { A: 1 }, ports: [1] }",
      "{ environment: !override { B: 2 }, ports: !override [2] }",
      { environment: { B: 2 }, ports: [2] },
    ],
  ] as const)("%s", ([, base, over, expected]) => {
    expect(merged(base, over)).toEqual(expected);
  });

  test("leaves every value where it was written", () => {
    const root = mergeFiles(read("sinks: { out: { image: a, user: u } }"), read("sinks:\n  out: { image: b }", "over"));
    expect(nodeAt(root, ["sinks", "out", "image"])?.place.file.path).toBe("/over.yaml");
    expect(nodeAt(root, ["sinks", "out", "user"])?.place.file.path).toBe("/base.yaml");
  });

  test("changes nothing in the files it is merged from", () => {
    const base = read("sinks: { out: { environment: [A=1] } }");
    const before = JSON.stringify(toPlain(base));
    mergeFiles(base, read("sinks: { out: { environment: { A: 2 } } }", "over"));
    expect(JSON.stringify(toPlain(base))).toBe(before);
  });
});

test("!reset in a single file takes the key away, and !override has no effect", () => {
  const root = applyResets(read("sinks: { out: { image: !reset a, user: !override b } }"));
  expect(toPlain(root)).toEqual({ sinks: { out: { user: "b" } } });
});
