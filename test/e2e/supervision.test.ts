import { execFile } from "node:child_process";
import { promisify } from "node:util";
import { beforeAll, describe, expect, it } from "vitest";
import { buildProgram, eventually, Scenario } from "./checks.ts";
import { driversUnderTest } from "./drivers-under-test.ts";

const run = promisify(execFile);

interface Seen {
  readonly type: string;
  readonly instanceId: string;
  readonly message: string;
}

async function supervised(scenario: Scenario, instance: string): Promise<readonly string[]> {
  const { code, stdout } = await scenario.flowctl("events", "--json");
  if (code !== 0) return [];
  return stdout
    .split("\n")
    .filter((line) => line !== "")
    .map((line) => JSON.parse(line) as Seen)
    .filter(({ type, instanceId }) => type === "instance.supervised" && instanceId === instance)
    .map(({ message }) => message);
}

/** Freezes the program of an instance, as a deadlock or a blocked loop would. */
async function freeze(scenario: Scenario, instance: string): Promise<void> {
  const ref = (await scenario.refs())[instance] ?? "";
  if (scenario.driver === "process") return void process.kill(Number(ref), "SIGSTOP");
  const { stdout } = await run("docker", ["top", ref, "-o", "pid"]);
  for (const pid of stdout.trim().split("\n").slice(1)) process.kill(Number(pid), "SIGSTOP");
}

beforeAll(buildProgram);

describe.each(driversUnderTest())("supervision on %s", (driver) => {
  it("restarts what hangs, says why with its last log line, and the pipeline goes on", async () => {
    await using scenario = await Scenario.on(
      driver,
      `
sources: { numbers: { uses: generator, with: { rate: 10 } } }
sinks: { archive: { uses: file, inputs: [numbers], with: { path: ./out/numbers.jsonl } } }
`,
    );
    await scenario.succeed("up", "-d", "--wait", "--timeout", "90");
    await freeze(scenario, "archive-1");
    await eventually("a restart", async () => (await supervised(scenario, "archive-1")).length > 0, 120_000);
    expect((await supervised(scenario, "archive-1"))[0]).toMatch(
      /^restart: not responding: no heartbeat for 30 s, last log line: .+/,
    );
    const before = (await scenario.lines("out/numbers.jsonl")).length;
    await eventually("events", async () => (await scenario.lines("out/numbers.jsonl")).length > before + 50);
    scenario.passed();
  });
});

describe.skipIf(!driversUnderTest().includes("process"))("on processes", () => {
  it("what never registers is given up: wait and attached up fail, and status explains it in one screen", async () => {
    await using scenario = await Scenario.on(
      "process",
      `
sources:
  mute:
    command: [sh, -c, "echo waiting for nothing; exec sleep 1000"]
    restart: "on-failure:1"
    healthcheck: { test: ["CMD", "true"], start_period: 2s }
sinks: { out: { uses: discard, inputs: [mute] } }
`,
    );
    const up = scenario.start("up");
    await up.until(/mute-1/);
    const { code, stderr } = await up.ended;
    expect(code, stderr).toBe(1);
    expect(stderr).toMatch(/mute-1 .*has not registered; gave up after 2 failures in a row/);
    expect((await scenario.flowctl("wait")).code).toBe(1);
    const status = await scenario.succeed("status");
    expect(status).toMatch(/mute-1 is failed.*has not registered.*last log line: waiting for nothing/);
    expect(status).toContain(`fix            See its logs with \`flowctl logs -p ${scenario.name} mute-1\``);
    scenario.passed();
  });
});
