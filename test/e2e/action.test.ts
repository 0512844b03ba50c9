import { existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join, resolve } from "node:path";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { parse } from "yaml";
import { driversUnderTest } from "./drivers-under-test.ts";
import { type Ended, runProgram } from "./run-program.ts";

const root = resolve(import.meta.dirname, "../..");

interface Action {
  readonly inputs: Record<string, { readonly default?: string }>;
  readonly runs: {
    readonly steps: readonly { readonly name: string; readonly env: Record<string, string>; readonly run: string }[];
  };
}

const action = parse(readFileSync(join(root, "action.yml"), "utf8")) as Action;

/** A runner of GitHub, as far as the action meets it: a workspace, the files it reads back, a PATH that steps add to. */
class Runner {
  readonly workspace: string;
  readonly #home: string;
  readonly #inputs: Record<string, string>;

  constructor(name: string, inputs: Record<string, string>) {
    this.#home = join(work, name);
    this.workspace = join(this.#home, `workspace-${name}-${process.pid}`);
    this.#inputs = inputs;
    mkdirSync(this.workspace, { recursive: true });
    for (const file of ["path", "output", "summary"]) writeFileSync(join(this.#home, file), "");
  }

  write(file: string, text: string): void {
    writeFileSync(join(this.workspace, file), text);
  }

  get summary(): string {
    return readFileSync(join(this.#home, "summary"), "utf8");
  }

  get output(): string {
    return readFileSync(join(this.#home, "output"), "utf8");
  }

  /** Runs one step of action.yml as the runner would. */
  step(name: string): Promise<Ended> {
    const step = action.runs.steps.find((candidate) => candidate.name === name);
    if (step === undefined) throw new Error(`action.yml has no step ${name}`);
    const added = readFileSync(join(this.#home, "path"), "utf8")
      .split("\n")
      .filter((line) => line !== "");
    const inputs = Object.fromEntries(
      Object.entries(step.env).map(([variable, value]) => [variable, this.#valueOf(value)]),
    );
    return runProgram("bash", ["--noprofile", "--norc", "-eo", "pipefail", "-c", step.run], {
      cwd: this.workspace,
      timeoutMs: 170_000,
      env: {
        ...process.env,
        ...inputs,
        PATH: [...added.toReversed(), process.env.PATH].join(":"),
        HOME: this.#home,
        FLOWCTL_HOME: join(this.#home, "state"),
        CI: "true",
        RUNNER_TEMP: this.#home,
        GITHUB_ACTION_PATH: root,
        GITHUB_WORKSPACE: this.workspace,
        GITHUB_PATH: join(this.#home, "path"),
        GITHUB_OUTPUT: join(this.#home, "output"),
        GITHUB_STEP_SUMMARY: join(this.#home, "summary"),
      },
    });
  }

  /** The only expressions that the action uses are its inputs. */
  #valueOf(expression: string): string {
    const input = /^\$\{\{ inputs\.([\w-]+) \}\}$/.exec(expression)?.[1];
    if (input === undefined) throw new Error(`${expression} is more than this test knows`);
    return this.#inputs[input] ?? action.inputs[input]?.default ?? "";
  }
}

let work: string;
beforeAll(() => {
  work = mkdtempSync(join(tmpdir(), "flowctl-action-"));
});
afterAll(() => rmSync(work, { recursive: true, force: true }));

const pipeline = (sink: string) => `sources:
  numbers:
    uses: generator
    with: { rate: unlimited, count: 100, template: { n: "sequence" } }
processors:
  even:
    uses: filter
    with: { where: "payload.n % 2 == 0" }
    inputs: [numbers]
sinks:
  kept:
${sink}
    inputs: [even]
`;

const toFile = "    uses: file\n    with: { path: ./kept.jsonl }";

async function installed(runner: Runner): Promise<Runner> {
  const install = await runner.step("Install flowctl");
  expect(install.code, install.stdout + install.stderr).toBe(0);
  return runner;
}

describe("the action", () => {
  it("runs by default the file that `flowctl init` writes", () => {
    const file = action.inputs.file?.default ?? "";
    expect(existsSync(join(root, "templates/pipeline", file)), file).toBe(true);
  });
});

describe("the GitHub action", () => {
  it("puts every problem of a pipeline file on its line, and fails", async () => {
    const runner = await installed(new Runner("broken", {}));
    runner.write("flowctl.yaml", pipeline(toFile).replace("uses: filter", "uses: filtre").replace("[even]", "[evn]"));
    const ended = await runner.step("Validate the pipeline");
    expect(ended.code).not.toBe(0);
    const annotations = ended.stdout.split("\n").filter((line) => line.startsWith("::error "));
    expect(annotations.find((line) => line.includes("filtre"))).toMatch(
      /file=flowctl\.yaml,line=7,col=\d+,title=.*::.+/,
    );
    expect(annotations.find((line) => line.includes("evn"))).toMatch(/file=flowctl\.yaml,line=14,col=\d+,title=.*::.+/);
  });

  it.each(driversUnderTest())(
    "runs a pipeline to its end on %s and writes what flowed to the job summary",
    async (driver) => {
      const runner = await installed(new Runner(`good-${driver}`, { driver, file: "numbers.yaml" }));
      runner.write("numbers.yaml", pipeline(toFile));
      const validated = await runner.step("Validate the pipeline");
      expect(validated.code, validated.stdout + validated.stderr).toBe(0);
      expect(validated.stdout).not.toContain("::error");
      const ran = await runner.step("Run the pipeline");
      expect(ran.code, ran.stdout + ran.stderr).toBe(0);
      expect(ran.stdout).not.toContain("::error");
      expect(ran.stdout).toMatch(/^\S+-1 \| info {2}started component=/m);
      expect(ran.stdout).not.toContain('{"level"');
      expect(readFileSync(join(runner.workspace, "kept.jsonl"), "utf8").trim().split("\n")).toHaveLength(50);
      expect(runner.summary).toContain(`completed in`);
      expect(runner.summary).toContain(`on ${driver}`);
      expect(runner.summary).toMatch(/^\| numbers \| source \| completed \| {2}\| 100 \|/m);
      expect(runner.summary).toMatch(/^\| even \| processor \| completed \| 100 \| 50 \|/m);
      expect(runner.summary).toMatch(/^\| kept \| sink \| completed \| 50 \| {2}\|/m);
      const result = /^result=(.+)$/m.exec(runner.output)?.[1];
      expect(readFileSync(result ?? "no output", "utf8")).toContain('"completed"');
    },
  );

  it("names the component that failed, at its line, fails, and says so in the summary", async () => {
    const runner = await installed(new Runner("failing", { driver: "process" }));
    runner.write(
      "flowctl.yaml",
      pipeline('    command: ["sh", "-c", "echo the table is gone >&2; exit 3"]\n    restart: "no"'),
    );
    expect((await runner.step("Validate the pipeline")).code).toBe(0);
    const ran = await runner.step("Run the pipeline");
    expect(ran.code).not.toBe(0);
    expect(ran.stdout).toContain("the table is gone");
    expect(ran.stdout).toMatch(/^::error file=flowctl\.yaml,line=11,col=3,title=.*::.*kept/m);
    expect(runner.summary).toContain("failed");
  });
});
