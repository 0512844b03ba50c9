import { execFile, spawn } from "node:child_process";
import { once } from "node:events";
import { readdir, readlink } from "node:fs/promises";
import { join, resolve } from "node:path";
import { promisify } from "node:util";
import { beforeAll, describe, expect, it } from "vitest";
import { buildProgram, eventually, Scenario } from "./checks.ts";
import { driversUnderTest } from "./drivers-under-test.ts";

const ENDLESS = `
sources:
  numbers: { uses: generator, with: { rate: 10 } }
sinks:
  archive: { uses: file, inputs: [numbers], with: { path: ./out/numbers.jsonl } }
`;

/** Moments in the life of `flowctl up`, by what it has said. */
const MOMENTS = [
  ["before it says anything", /^/],
  ["when it has chosen the driver", / on (process|docker) \(/],
  ["while the control plane is made", /control plane Starting/],
  ["while components are made", /^\S+-\d+ Starting/m],
  ["when it runs", /archive-1 +│ .*started/],
] as const;

const program = join(resolve(import.meta.dirname, "../.."), "dist/flowctl.js");

beforeAll(buildProgram);

describe("a command that reads its file from a named pipe", () => {
  it.each([
    ["SIGINT", 130],
    ["SIGTERM", 130],
  ] as const)("ends at %s where nothing ever writes to it", async (signal, code) => {
    await using scenario = await Scenario.on("process", "");
    await promisify(execFile)("mkfifo", [join(scenario.folder, "pipe.yaml")]);
    const running = scenario.start("validate", "pipe.yaml");
    const descriptors = `/proc/${running.child.pid}/fd`;
    const opened = async (): Promise<boolean> => {
      const fds = await readdir(descriptors);
      const paths = await Promise.all(fds.map((fd) => readlink(join(descriptors, fd)).catch(() => "")));
      return paths.includes(join(scenario.folder, "pipe.yaml"));
    };
    await eventually("the pipe is open", opened);
    running.child.kill(signal);
    expect(await running.ended).toMatchObject({ code, stderr: "interrupted\n" });
    scenario.passed();
  });
});

describe("a command that reads its file from standard input", () => {
  it("ends at the first Ctrl-C, however long nothing comes", async () => {
    const child = spawn(process.execPath, [program, "validate", "-"], { stdio: ["pipe", "ignore", "pipe"] });
    const ended = once(child, "close");
    let said = "";
    child.stderr.setEncoding("utf8").on("data", (text: string) => {
      said += text;
    });
    const patience = setTimeout(() => child.kill("SIGKILL"), 30_000);
    try {
      // More than a pipe holds: once all is written, it is being read.
      await new Promise((written) => child.stdin.write("# nothing yet\n".repeat(50_000), written));
      child.kill("SIGINT");
      expect(await ended).toEqual([130, null]);
      expect(said).toBe("interrupted\n");
    } finally {
      clearTimeout(patience);
      child.kill("SIGKILL");
    }
  });
});

describe.each(driversUnderTest())("on %s", (driver) => {
  it.each(MOMENTS)("Ctrl-C %s stops it, and down then leaves nothing", async (_moment, said) => {
    await using scenario = await Scenario.on(driver, ENDLESS);
    const up = scenario.start("up");
    await up.until(said);
    up.child.kill("SIGINT");
    const { code, stderr } = await up.ended;
    expect(code, stderr).toBe(130);
    const running = (await scenario.instances()).filter(({ type }) => type !== "control-plane");
    expect(running.filter(({ state }) => !/^(stopped|created|completed|exited.*)$/.test(state))).toEqual([]);
    const down = await scenario.flowctl("down", scenario.name, "-v");
    expect([0, 5], down.stderr).toContain(down.code);
    expect(await scenario.leftovers()).toEqual([]);
    scenario.passed();
  });

  it.each(MOMENTS)("kill -9 %s leaves only what down can remove", async (_moment, said) => {
    await using scenario = await Scenario.on(driver, ENDLESS);
    const up = scenario.start("up");
    await up.until(said);
    up.child.kill("SIGKILL");
    await up.ended;
    const down = await scenario.flowctl("down", scenario.name, "-v");
    expect([0, 5], down.stderr).toContain(down.code);
    await eventually("nothing left", async () => (await scenario.leftovers()).length === 0, 10_000);
    scenario.passed();
  });

  it("is completed by the next up after a kill -9 in the middle", async () => {
    await using scenario = await Scenario.on(driver, ENDLESS);
    const up = scenario.start("up");
    await up.until(/Starting/);
    up.child.kill("SIGKILL");
    await up.ended;
    await scenario.succeed("up", "-d", "--wait", "--timeout", "90");
    await eventually("events at the sink", async () => (await scenario.lines("out/numbers.jsonl")).length > 0);
    scenario.passed();
  });

  it("stops gracefully at the first Ctrl-C: everything that was sent is written, once", async () => {
    // Much has to be in flight.
    await using scenario = await Scenario.on(driver, ENDLESS.replace("rate: 10", "rate: 200"));
    const up = scenario.start("up");
    await eventually("events at the sink", async () => (await scenario.lines("out/numbers.jsonl")).length > 200);
    up.child.kill("SIGINT");
    const { code, stdout, stderr } = await up.ended;
    expect(code, stderr).toBe(130);
    expect(stderr).toContain("draining; press Ctrl-C again to stop now");
    expect(stdout).toMatch(/archive-1 +│ info {2}closed/);
    const sequences = (await scenario.lines("out/numbers.jsonl")).map((line) => JSON.parse(line).sequence as number);
    expect(sequences).toEqual(Array.from({ length: sequences.length }, (_, i) => i + 1));
    scenario.passed();
  });

  it("finishes what it has begun to restart at the first Ctrl-C, instead of leaving it stopped", async () => {
    // It stops slowly, so that the interrupt comes before it is started again.
    const slow = `
sources:
  numbers: { uses: generator, with: { rate: 10 } }
sinks:
  slow: { uses: discard, with: { delay: 1s }, inputs: [numbers] }
`;
    await using scenario = await Scenario.on(driver, slow);
    await scenario.succeed("up", "-d", "--wait", "--timeout", "90");
    const before = await scenario.refs();
    const restart = scenario.start("restart", "slow");
    await restart.until(/slow-1 Restarting/);
    restart.child.kill("SIGINT");
    const { code, stderr } = await restart.ended;
    expect(code, stderr).toBe(130);
    const states = (await scenario.instances()).map(({ instance, state }) => `${instance} ${state}`);
    expect(states.filter((state) => /stopped|exited|created/.test(state))).toEqual([]);
    if (driver === "process") expect((await scenario.refs())["slow-1"]).not.toBe(before["slow-1"]);
    scenario.passed();
  });

  it("ends at once at the second Ctrl-C, however long a component wants to take", async () => {
    const stubborn = `
sources:
  numbers: { uses: generator, with: { rate: 10 } }
sinks:
  slow:
    uses: discard
    with: { delay: 300s }
    stop_grace_period: 300s
    inputs: [numbers]
`;
    await using scenario = await Scenario.on(driver, stubborn);
    const up = scenario.start("up");
    await up.until(/slow-1 +│ .*started/);
    up.child.kill("SIGINT");
    await up.until(/Ctrl-C again/);
    up.child.kill("SIGINT");
    const { code, stderr } = await up.ended;
    expect(code, stderr).toBe(130);
    expect(stderr).toContain("Stopping now");
    const states = (await scenario.instances())
      .filter(({ type }) => type !== "control-plane")
      .map(({ state }) => state);
    expect(states.filter((state) => /healthy|running|stopping|degraded|starting/.test(state))).toEqual([]);
    scenario.passed();
  });
});
