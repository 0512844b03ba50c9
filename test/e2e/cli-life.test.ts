import { beforeAll, describe, expect, it } from "vitest";
import { buildProgram, eventually, Scenario } from "./checks.ts";
import { driversUnderTest } from "./drivers-under-test.ts";

const FINITE = `
sources:
  numbers: { uses: generator, with: { count: 50, rate: unlimited } }
processors:
  even: { uses: filter, inputs: [numbers], with: { where: payload.sequence % 2 == 0 } }
sinks:
  archive: { uses: file, inputs: [even], with: { path: ./out/even.jsonl } }
  screen: { uses: stdout, inputs: [even] }
`;

const endless = (where = "true"): string => `
sources:
  numbers: { uses: generator, with: { rate: 20 } }
processors:
  some: { uses: filter, inputs: [numbers], with: { where: "${where}" } }
sinks:
  archive: { uses: file, inputs: [some], with: { path: ./out/some.jsonl } }
`;

beforeAll(buildProgram);

describe.concurrent.each(driversUnderTest())("on %s", (driver) => {
  it("runs a finite pipeline to its end, says what it did, and leaves nothing", async () => {
    await using scenario = await Scenario.on(driver, FINITE);
    const { code, stdout, stderr } = await scenario.flowctl("run");
    expect(code, stderr).toBe(0);
    expect(stderr).toContain(`${scenario.name} on ${driver} (chosen by FLOWCTL_DRIVER)`);
    expect(stdout.match(/^screen-1 +│ \{"sequence":\d+\}$/gm)).toHaveLength(25);
    expect(stdout).toMatch(/^even +processor +completed +50 +25 +25 /m);
    expect(stdout).toMatch(new RegExp(`^${scenario.name} completed in .* on ${driver}$`, "m"));
    expect(stdout).toContain("archive wrote out/even.jsonl");
    expect(await scenario.lines("out/even.jsonl")).toHaveLength(25);
    expect(await scenario.leftovers()).toEqual([]);
    scenario.passed();
  });

  it("does nothing the second time, replaces only what changed, and loses no event by it", async () => {
    await using scenario = await Scenario.on(driver, endless());
    await scenario.succeed("up", "-d", "--wait", "--timeout", "90");
    const first = await scenario.refs();
    expect(Object.keys(first).sort()).toEqual(["archive-1", "control-plane", "numbers-1", "some-1"]);

    const again = await scenario.flowctl("up", "-d", "--json");
    expect(JSON.parse(again.stdout)).toMatchObject({ changes: [], state: "unchanged" });
    expect(await scenario.refs()).toEqual(first);

    await scenario.pipeline(endless("payload.sequence >= 0"));
    const dry = JSON.parse(await scenario.succeed("up", "--dry-run", "--json"));
    expect(dry.changes).toMatchObject([{ action: "replace", resource: "component/some-1", cause: "with changed" }]);
    await scenario.succeed("up", "-d", "--wait", "--timeout", "90");
    const second = await scenario.refs();
    expect(second["some-1"]).not.toBe(first["some-1"]);
    expect({ ...second, "some-1": "" }).toEqual({ ...first, "some-1": "" });

    const before = (await scenario.lines("out/some.jsonl")).length;
    await eventually("events after the change", async () => (await scenario.lines("out/some.jsonl")).length > before);
    await scenario.succeed("down", "-v");
    const sequences = (await scenario.lines("out/some.jsonl")).map((line) => JSON.parse(line).sequence as number);
    expect([...new Set(sequences)].sort((a, b) => a - b)).toEqual(
      Array.from({ length: Math.max(...sequences) }, (_, i) => i + 1),
    );
    expect(await scenario.leftovers()).toEqual([]);
    scenario.passed();
  });

  it("shows what runs, stops, starts, restarts and scales it, and takes it down without its file", async () => {
    await using scenario = await Scenario.on(driver, endless());
    await scenario.succeed("up", "-d", "--wait", "--timeout", "90");
    const states = async (): Promise<Record<string, string>> =>
      Object.fromEntries((await scenario.instances()).map(({ instance, state }) => [instance, state]));
    expect(await states()).toEqual({
      "numbers-1": "healthy",
      "some-1": "healthy",
      "archive-1": "healthy",
      "control-plane": "healthy",
    });
    expect(await scenario.succeed("status")).toMatch(/^some +processor +numbers +healthy +1\/1/m);
    expect(await scenario.succeed("logs", "numbers")).toMatch(/^numbers-1 │ info {2}/m);
    expect(await scenario.succeed("events")).toContain("instance.registered");
    expect(await scenario.succeed("inspect", "some")).toContain("where:");
    expect(await scenario.succeed("ps", "-a")).toContain(scenario.name);

    await scenario.succeed("stop", "some");
    expect((await states())["some-1"]).toBe("stopped");
    await scenario.succeed("start");
    await eventually("healthy again", async () => (await states())["some-1"] === "healthy");
    const before = await scenario.refs();
    await scenario.succeed("restart", "some-1");
    await scenario.succeed("wait", "--state", "healthy", "--timeout", "60");
    expect((await scenario.refs())["numbers-1"]).toBe(before["numbers-1"]);

    await scenario.succeed("scale", "some=3");
    await eventually(
      "three instances",
      async () => Object.keys(await states()).filter((id) => id.startsWith("some-")).length === 3,
    );
    await scenario.succeed("scale", "some=1");
    expect(Object.keys(await states()).filter((id) => id.startsWith("some-"))).toEqual(["some-1"]);

    await scenario.write("flowctl.yaml", "this is no pipeline");
    expect(await scenario.flowctl("ps")).toMatchObject({ code: 0, stderr: expect.stringContaining("warning: ") });
    const refused = await scenario.flowctl("stop");
    expect(refused.code).toBeGreaterThan(0);
    expect(refused.stderr).toContain(`flowctl stop -p ${scenario.name}`);
    await scenario.succeed("stop", "-p", scenario.name);
    await scenario.succeed("down", scenario.name, "-v");
    expect(await scenario.leftovers()).toEqual([]);
    expect(await scenario.flowctl("down", scenario.name)).toMatchObject({
      code: 0,
      stderr: expect.stringContaining("does not exist"),
    });
    scenario.passed();
  });

  it("says which component failed and why, stops the rest, and returns 1", async () => {
    const image = `flowctl:${JSON.parse(await packageJson()).version}`;
    const failing = `
sources:
  numbers: { uses: generator, with: { rate: 20 } }
sinks:
  broken:
    image: ${image}
    entrypoint: []
    command: [node, -e, "console.error('no such table'); process.exit(3)"]
    restart: "no"
    inputs: [numbers]
`;
    await using scenario = await Scenario.on(driver, failing);
    const attached = await scenario.flowctl("up");
    expect(attached.code, attached.stderr).toBe(1);
    expect(attached.stdout).toContain("broken-1  │ no such table");
    expect(attached.stderr).toMatch(new RegExp(`error: ${scenario.name} failed: broken-1 `));
    expect(attached.stderr).toContain("code cli/pipeline-failed");
    const running = (await scenario.instances()).filter(({ state }) => state === "healthy");
    expect(running.map(({ instance }) => instance)).toEqual(["control-plane"]);

    await scenario.succeed("down", "-v");
    const detached = await scenario.flowctl("up", "-d", "--wait", "--timeout", "180");
    expect(detached.code, detached.stderr).toBe(1);
    expect(detached.stderr).toContain("broken-1 │ no such table");
    expect((await scenario.flowctl("wait")).code).toBe(1);
    await scenario.succeed("down", "-v");
    expect(await scenario.leftovers()).toEqual([]);
    scenario.passed();
  });

  it("is followed until nothing of it exists any more, by logs and events", async () => {
    await using scenario = await Scenario.on(driver, endless());
    await scenario.succeed("up", "-d", "--wait", "--timeout", "90");
    const followers = [scenario.start("logs", "-f"), scenario.start("events", "-f")];
    for (const { until } of followers) await until(/\n/);
    await scenario.succeed("down", "-v");
    for (const { ended } of followers) expect(await ended).toMatchObject({ code: 0 });
    scenario.passed();
  });

  it("ends quietly when nobody reads its output any more", async () => {
    await using scenario = await Scenario.on(driver, endless());
    await scenario.succeed("up", "-d", "--wait", "--timeout", "90");
    const follow = scenario.start("logs", "-f");
    await follow.until(/│/);
    follow.child.stdout?.destroy();
    await scenario.succeed("restart", "some");
    const { code, stderr } = await follow.ended;
    expect(code, stderr).toBe(0);
    expect(stderr).toBe("");
    scenario.passed();
  });
});

async function packageJson(): Promise<string> {
  const { readFile } = await import("node:fs/promises");
  return readFile(new URL("../../package.json", import.meta.url), "utf8");
}
