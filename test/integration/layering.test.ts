import { spawnSync } from "node:child_process";
import { mkdirSync, mkdtempSync, rmSync, symlinkSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join, resolve } from "node:path";
import { afterEach, beforeEach, describe, expect, it } from "vitest";

const root = resolve(import.meta.dirname, "../..");
let project: string;

/** Runs the project's own rule over a source tree of these files; returns the lines that name an error. */
function violations(files: Record<string, string>): string[] {
  for (const [path, text] of Object.entries(files)) {
    mkdirSync(dirname(join(project, path)), { recursive: true });
    writeFileSync(join(project, path), text);
  }
  const run = spawnSync(
    process.execPath,
    [
      join(root, "node_modules/dependency-cruiser/bin/dependency-cruise.mjs"),
      "src",
      "--config",
      join(root, ".dependency-cruiser.mjs"),
    ],
    { cwd: project, encoding: "utf8", env: { ...process.env, NO_COLOR: "1" } },
  );
  const errors = run.stdout.split("\n").filter((line) => line.trim().startsWith("error "));
  expect(run.status === 0, run.stdout + run.stderr).toBe(errors.length === 0);
  return errors.map((line) => line.trim().replace(/^error /, ""));
}

const pipeline = { "src/pipeline/pipeline.ts": "export type Pipeline = 1;\n" };
const importing = (from: string) => `import type { X } from "${from}";\nexport type Y = X;\n`;

beforeEach(() => {
  project = mkdtempSync(join(tmpdir(), "flowctl-layering-"));
  writeFileSync(join(project, "package.json"), JSON.stringify({ type: "module", dependencies: { dockerode: "*" } }));
  symlinkSync(join(root, "node_modules"), join(project, "node_modules"));
});

afterEach(() => rmSync(project, { recursive: true, force: true }));

describe("the layering rule", () => {
  it("accepts imports that point down the list of layers", () => {
    expect(
      violations({
        ...pipeline,
        "src/foundation/errors.ts": "export class FlowctlError extends Error {}\n",
        "src/planner/plan.ts": `${importing("../pipeline/pipeline.ts")}import "../foundation/errors.ts";\n`,
        "src/drivers/driver.ts": importing("../pipeline/pipeline.ts"),
        "src/cli/up.ts": importing("../drivers/driver.ts"),
        "src/main/flowctl.ts": 'import "../cli/up.ts";\n',
      }),
    ).toEqual([]);
  });

  const forbidden: [what: string, file: string, imports: string, target: string, rule: string][] = [
    ["the foundation using a layer", "src/foundation/a.ts", "../pipeline/x.ts", "src/pipeline/x.ts", "foundation-uses"],
    ["the pipeline using the planner", "src/pipeline/a.ts", "../planner/x.ts", "src/planner/x.ts", "pipeline-uses"],
    ["the planner using the executor", "src/planner/a.ts", "../executor/x.ts", "src/executor/x.ts", "planner-uses"],
    ["the planner waiting", "src/planner/a.ts", "../foundation/clock.ts", "src/foundation/clock.ts", "planner-is-pure"],
    [
      "a built-in using a client",
      "src/components/sinks/a.ts",
      "../../client/x.ts",
      "src/client/x.ts",
      "components-uses",
    ],
    [
      "conformance using the streams",
      "src/conformance/a.ts",
      "../streams/x.ts",
      "src/streams/x.ts",
      "conformance-uses",
    ],
    [
      "the command line using a driver",
      "src/cli/a.ts",
      "../drivers/docker/x.ts",
      "src/drivers/docker/x.ts",
      "cli-uses",
    ],
    [
      "one driver using another",
      "src/drivers/docker/a.ts",
      "../process/x.ts",
      "src/drivers/process/x.ts",
      "drivers-never",
    ],
    ["anything using main", "src/cli/a.ts", "../main/x.ts", "src/main/x.ts", "nobody-uses-main"],
    ["a program using test code", "src/client/a.ts", "../../test/x.ts", "test/x.ts", "programs-know-no-tests"],
    ["a folder without a layer", "src/utilities/a.ts", "../pipeline/x.ts", "src/pipeline/x.ts", "every-folder"],
  ];

  it.each(forbidden)("fails on %s, types included", (_, file, imports, target, rule) => {
    const found = violations({ [file]: importing(imports), [target]: "export type X = 1;\n" });
    expect(found.join("\n")).toContain(rule);
    expect(found.join("\n")).toContain(`${file} → ${target}`);
  });

  it("fails on a planner that reads a file", () => {
    const text = 'import { readFileSync } from "node:fs";\nexport const text = readFileSync("a", "utf8");\n';
    expect(violations({ "src/planner/a.ts": text }).join("\n")).toContain("planner-is-pure: src/planner/a.ts");
  });

  it("fails on a vendor's package outside its adapter, and accepts it inside", () => {
    const text = 'import Docker from "dockerode";\nexport const docker = new Docker();\n';
    expect(violations({ "src/drivers/docker/engine.ts": text })).toEqual([]);
    expect(violations({ "src/cli/up.ts": text }).join("\n")).toContain("dockerode-stops-at-its-adapter: src/cli/up.ts");
  });
});
