import { mkdir, readdir, readFile, symlink, writeFile } from "node:fs/promises";
import { join, resolve } from "node:path";
import { beforeAll, describe, expect, it } from "vitest";
import { connectEngine } from "../../src/drivers/docker/engine/engine.ts";
import { nodeBaseImage } from "../../src/drivers/docker/image/flowctl-image-base.ts";
import { buildProgram, Scenario } from "./checks.ts";
import { driversUnderTest } from "./drivers-under-test.ts";
import { runProgram, runWell } from "./run-program.ts";

const repository = resolve(import.meta.dirname, "../..");
const program = join(repository, "dist/flowctl.js");

// With the types of the SDK, which a TypeScript project is checked against.
beforeAll(buildProgram);

describe.each(driversUnderTest())("init on %s", (driver) => {
  it("writes a pipeline that runs as it is", async () => {
    await using scenario = await Scenario.on(driver, "");
    const inside = { cwd: join(scenario.folder, scenario.name), env: scenario.env };
    await scenario.succeed("init", scenario.name);
    const { stdout } = await runWell(process.execPath, [program, "run"], inside);
    expect(stdout).toMatch(new RegExp(`^${scenario.name} completed in `, "m"));
    expect(await scenario.lines(`${scenario.name}/out/alerts.jsonl`)).toHaveLength(12);
    expect(await scenario.leftovers()).toEqual([]);
    scenario.passed();
  });
});

describe("init", () => {
  it("overwrites nothing unless told to", async () => {
    await using scenario = await Scenario.on("process", "");
    const refused = await scenario.flowctl("init");
    expect(refused.code).toBe(6);
    expect(refused.stderr).toContain("code cli/file-exists");
    expect(await scenario.lines("readings.csv")).toEqual([]);
    await scenario.succeed("init", "--force");
    expect(await scenario.lines("readings.csv")).toHaveLength(73);
    scenario.passed();
  });

  it("says so where nothing can be written", async () => {
    await using scenario = await Scenario.on("process", "");
    const refused = await scenario.flowctl("init", "flowctl.yaml/below");
    expect(refused.code).toBe(3);
    expect(refused.stderr).toMatch(/^error: cannot write .*flowctl\.yaml\/below\/.*: /m);
    expect(refused.stderr).toContain("use another path");
    expect(refused.stderr).toContain("code cli/cannot-write");
    scenario.passed();
  });
});

describe("init where not all of its files can be written", () => {
  it("writes none, replaces none, and works once they can be", async () => {
    await using scenario = await Scenario.on("process", "name: mine");
    const { folder, env } = scenario;
    // As a full disk does it: the largest file comes after others that can be written.
    const limited = (...args: readonly string[]) =>
      runProgram("bash", ["-c", `trap '' XFSZ; ulimit -f 100; exec "$0" "$@"`, process.execPath, program, ...args], {
        cwd: folder,
        env,
      });
    const before = await readdir(folder);
    const own = await readFile(join(folder, "flowctl.yaml"), "utf8");
    for (const args of [["new"], ["new/deep/demo"], [".", "--force"]]) {
      const refused = await limited("init", ...args);
      expect(refused).toMatchObject({ code: 4, stderr: expect.stringContaining("code cli/cannot-write") });
      expect(await readdir(folder)).toEqual(before);
    }
    expect(await readFile(join(folder, "flowctl.yaml"), "utf8")).toBe(own);
    await scenario.succeed("init", "new");
    scenario.passed();
  });
});

/**
 * What shows that a component that was just written is one. That the library and the Python files it is made with keep the rest is
 * shown where they are tested.
 */
const CHECKS: Readonly<Record<string, readonly string[]>> = {
  source: [
    "publish/event",
    "checkpoint/resume",
    "checkpoint/contiguous",
    "stop/exit",
    "stop/waits",
    "stop/position",
    "config/invalid",
  ],
  processor: [
    "ack/after-below",
    "ack/contiguous",
    "publish/stable-ids",
    "end/completes",
    "stop/exit",
    "stop/waits",
    "config/invalid",
  ],
  sink: ["ack/all", "end/completes", "stop/exit", "config/invalid"],
};

function asChecked(type: string): readonly string[] {
  return ["--type", type, ...(CHECKS[type] ?? []).flatMap((check) => ["--only", check])];
}

describe("init component", () => {
  it.each(["source", "processor", "sink"])(
    "writes a %s in TypeScript that compiles and keeps the contract",
    async (type) => {
      await using scenario = await Scenario.on("process", "");
      await scenario.succeed("init", "component", "part", "--lang", "ts", "--type", type);
      const folder = join(scenario.folder, "part");
      await installed(folder);
      await build(folder);
      const { code, stdout } = await runProgram(
        process.execPath,
        [program, "component", "test", ...asChecked(type), "--", process.execPath, "dist/main.js"],
        { cwd: folder, env: scenario.env },
      );
      expect(code, stdout).toBe(0);
      expect(stdout).toContain(`The ${type} keeps the contract`);
      const { stdout: ran } = await runWell(process.execPath, [program, "run", "-p", scenario.name], {
        cwd: folder,
        env: scenario.env,
      });
      expect(ran).toMatch(new RegExp(`^${scenario.name} completed in `, "m"));
      scenario.passed();
    },
  );

  it.each(["source", "processor", "sink"])("writes a %s in Python, with the protocol that it speaks", async (type) => {
    await using scenario = await Scenario.on("process", "");
    await scenario.succeed("init", "component", "part", "--lang", "python", "--type", type);
    const folder = join(scenario.folder, "part");
    await runWell(
      "python3",
      ["-m", "py_compile", "main.py", "component.py", "identity.py", "life.py", "inlet.py", "outlet.py"],
      {
        cwd: folder,
      },
    );
    expect(await readFile(join(folder, "component.py"), "utf8")).toContain(`TYPE = "${type}"`);
    expect(await readFile(join(folder, "proto/flowctl/stream/v1/stream.proto"), "utf8")).toContain(
      "service EventStream",
    );
    const validated = await runProgram(process.execPath, [program, "validate"], { cwd: folder, env: scenario.env });
    expect(validated.code, validated.stderr).toBe(0);
    scenario.passed();
  });
});

describe.runIf(driversUnderTest().includes("docker"))("init component in TypeScript, as an image", () => {
  it.each([
    ["source", "feed"],
    ["processor", "work"],
    ["sink", "store"],
  ])("builds a %s that runs in its pipeline, with no registry", async (type, component) => {
    await using scenario = await Scenario.on("docker", "");
    const base = await localBase();
    await scenario.succeed("init", "component", "part", "--lang", "ts", "--type", type);
    const folder = join(scenario.folder, "part");
    await installed(folder);
    await build(folder);
    const file = join(folder, "flowctl.yaml");
    const pipeline = (await readFile(file, "utf8")).replace(
      "build: .",
      `build: { context: ., args: { BASE: "${base}" } }`,
    );
    await writeFile(file, pipeline);
    const inside = { cwd: folder, env: scenario.env, timeoutMs: 280_000 };
    try {
      const { stdout: ran } = await runWell(process.execPath, [program, "run", "-p", scenario.name], inside);
      expect(ran).toMatch(new RegExp(`^${scenario.name} completed in `, "m"));
    } finally {
      await runProgram("docker", ["rmi", "--force", `${scenario.name}-${component}`]);
    }
    expect(await scenario.leftovers()).toEqual([]);
    scenario.passed();
  });
});

describe.runIf(driversUnderTest().includes("docker"))("init component in Python, as an image", () => {
  it.each(["source", "processor", "sink"])("builds a %s that keeps the contract", async (type) => {
    await using scenario = await Scenario.on("docker", "");
    const { stdout: base } = await runWell("bash", ["scripts/python-base-image.sh"], {
      cwd: repository,
      timeoutMs: 280_000,
    });
    await scenario.succeed("init", "component", "part", "--lang", "python", "--type", type);
    const image = `flowctl-${scenario.name}`;
    try {
      const build = ["build", "--build-arg", `BASE=${base.trim()}`, "--tag", image, "."];
      await runWell("docker", build, { cwd: join(scenario.folder, "part"), timeoutMs: 280_000 });
      const { code, stdout } = await scenario.flowctl("component", "test", ...asChecked(type), "--image", image);
      expect(code, stdout).toBe(0);
      expect(stdout).toContain(`The ${type} keeps the contract`);
    } finally {
      await runProgram("docker", ["rmi", "--force", image]);
    }
    scenario.passed();
  });
});

/** `npm run build`, with the programs that `npm install` would put into the project. */
async function build(folder: string): Promise<void> {
  const PATH = `${join(repository, "node_modules/.bin")}:${process.env.PATH}`;
  await runWell("npm", ["run", "build"], { cwd: folder, env: { ...process.env, PATH } });
}

/** An image with Node.js that no registry has: the one that flowctl makes of this machine's. */
async function localBase(): Promise<string> {
  const engine = await connectEngine(process.env);
  return nodeBaseImage(engine, {
    clientConfig: {},
    progress: () => undefined,
    signal: AbortSignal.timeout(280_000),
  });
}

/** What `npm install` would put there: flowctl from where package.json says, the rest from this repository. */
async function installed(folder: string): Promise<void> {
  const modules = join(folder, "node_modules");
  await mkdir(join(modules, "@types"), { recursive: true });
  const { dependencies } = JSON.parse(await readFile(join(folder, "package.json"), "utf8")) as {
    dependencies: Record<string, string>;
  };
  expect(dependencies.flowctl).toMatch(/^file:/);
  await symlink(resolve(folder, dependencies.flowctl?.slice("file:".length) ?? ""), join(modules, "flowctl"));
  for (const name of ["zod", "@types/node", "undici-types"]) {
    await symlink(join(repository, "node_modules", name), join(modules, name)).catch(() => undefined);
  }
}
