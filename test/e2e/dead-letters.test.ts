import { readdir } from "node:fs/promises";
import { join } from "node:path";
import { beforeAll, describe, expect, it } from "vitest";
import { buildProgram, eventually, Scenario } from "./checks.ts";
import { driversUnderTest } from "./drivers-under-test.ts";

/** One event in ten has a text where the expression wants a number. */
const pipeline = (double: string): string => `
sources:
  readings:
    uses: generator
    with: { rate: 50, template: { n: sequence, value: 'sequence % 10 == 0 ? dyn("x") : dyn(1.5)' } }
processors:
  doubled:
    uses: map
    inputs: [readings]
    with: { to: { n: payload.n, value: ${JSON.stringify(double)} } }
    on_error: { action: dead_letter, to: rejected }
sinks:
  archive: { uses: file, inputs: [doubled], with: { path: ./out/archive.jsonl } }
  rejected: { uses: file, with: { path: ./rejected/letters.jsonl } }
`;
const broken = pipeline("payload.value * 2");
const mended = pipeline("type(payload.value) == string ? dyn(payload.value) : dyn(payload.value * 2)");

interface Letter {
  readonly id: string;
  readonly component: string;
  readonly upstream: string;
  readonly reason: string;
  readonly replayedAt: string | null;
}

async function letters(scenario: Scenario): Promise<readonly Letter[]> {
  const { code, stdout, stderr } = await scenario.flowctl("dead-letters", "list", "--json");
  if (code !== 0) throw new Error(stderr);
  return JSON.parse(stdout) as Letter[];
}

async function numbersIn(scenario: Scenario): Promise<number[]> {
  const lines = await scenario.lines("out/archive.jsonl");
  return lines.map((line) => (JSON.parse(line) as { n: number }).n).sort((a, b) => a - b);
}

/** Whether the sink has every number up to the last one exactly once. */
async function isComplete(scenario: Scenario): Promise<boolean> {
  const numbers = await numbersIn(scenario);
  return numbers.length > 50 && numbers.every((n, index) => n === index + 1);
}

beforeAll(buildProgram);

describe.concurrent.each(driversUnderTest())("dead letters on %s", (driver) => {
  it("are replayed to the mended component, which goes on meanwhile, and every event is then in the sink once", async () => {
    await using scenario = await Scenario.on(driver, broken);
    await scenario.succeed("up", "-d", "--wait", "--timeout", "90");
    await eventually("dead letters", async () => (await letters(scenario)).length >= 3);
    const [first] = await letters(scenario);
    const id = first?.id ?? "";
    expect(id).toMatch(/^readings\.[\w-]{8}:10$/);
    expect(first).toMatchObject({ component: "doubled", upstream: "readings", replayedAt: null });
    expect(await scenario.succeed("dead-letters", "show", id)).toMatch(/reason .*no such overload.*"value": "x"/s);

    const again = await scenario.flowctl("dead-letters", "replay", id);
    expect(again.code, again.stderr).toBe(1);
    expect(again.stdout).toContain("1 event replayed to doubled, 1 of them failed again");
    const twice = (await letters(scenario)).filter((one) => one.id === id);
    expect(twice.map(({ replayedAt }) => replayedAt === null)).toEqual([false, true]);

    await scenario.pipeline(mended);
    await scenario.succeed("up", "-d", "--wait", "--timeout", "90");
    const before = await scenario.refs();
    const pending = (await letters(scenario)).filter(({ replayedAt }) => replayedAt === null).length;
    const done = await scenario.succeed("dead-letters", "replay", "--all", "--json");
    expect(JSON.parse(done)).toMatchObject([{ component: "doubled", replayed: pending, failedAgain: 0 }]);
    expect((await letters(scenario)).filter(({ replayedAt }) => replayedAt === null)).toEqual([]);
    expect(await scenario.refs()).toEqual(before);
    await scenario.succeed("wait", "--state", "healthy", "--timeout", "60");

    await scenario.succeed("stop", "readings");
    await eventually("every number once", () => isComplete(scenario));
    expect((await readdir(join(scenario.folder, "rejected"))).sort()).toEqual([
      "letters.jsonl",
      "letters.jsonl.replayed",
    ]);
    await scenario.succeed("down", "-v");
    expect(await scenario.leftovers()).toEqual([]);
    scenario.passed();
  });

  it("stay to be replayed when flowctl is killed meanwhile, which leaves nothing of it behind", async () => {
    await using scenario = await Scenario.on(driver, broken);
    await scenario.succeed("up", "-d", "--wait", "--timeout", "90");
    await eventually("dead letters", async () => (await letters(scenario)).length >= 2);
    await scenario.pipeline(mended);
    await scenario.succeed("up", "-d", "--wait", "--timeout", "90");
    await scenario.succeed("stop", "archive");
    const before = await scenario.refs();
    // Nobody takes what the component makes of them, so nothing is acknowledged.
    const replay = scenario.start("dead-letters", "replay", "--all", "--progress", "plain");
    await replay.until(/Receiving dead letters/);
    replay.child.kill("SIGKILL");
    await replay.ended;
    await eventually("the end of the replay", async () =>
      /is broken off: 0 events acknowledged/.test(await scenario.succeed("events", "--json")),
    );
    expect(await scenario.refs()).toEqual(before);
    expect((await letters(scenario)).filter(({ replayedAt }) => replayedAt !== null)).toEqual([]);
    expect((await readdir(join(scenario.folder, "rejected"))).sort()).toEqual([
      "letters.jsonl",
      "letters.jsonl.replayed",
    ]);

    await scenario.succeed("start", "archive");
    await scenario.succeed("dead-letters", "replay", "--all");
    await scenario.succeed("wait", "--state", "healthy", "--timeout", "60");
    await scenario.succeed("stop", "readings");
    await eventually("every number once", () => isComplete(scenario));
    await scenario.succeed("down", "-v");
    expect(await scenario.leftovers()).toEqual([]);
    scenario.passed();
  });

  it("stay where they are when a replay is interrupted, which leaves nothing of it behind", async () => {
    await using scenario = await Scenario.on(driver, broken);
    await scenario.succeed("up", "-d", "--wait", "--timeout", "90");
    await eventually("dead letters", async () => (await letters(scenario)).length >= 2);
    await scenario.pipeline(mended);
    await scenario.succeed("up", "-d", "--wait", "--timeout", "90");
    await scenario.succeed("stop", "archive");
    const before = await scenario.refs();
    const replay = scenario.start("dead-letters", "replay", "--all", "--progress", "plain");
    await replay.until(/Receiving dead letters/);
    expect((await scenario.flowctl("dead-letters", "replay", "--all")).stderr).toContain("control/replay-under-way");
    replay.child.kill("SIGINT");
    expect((await replay.ended).code).toBe(130);
    expect(await scenario.refs()).toEqual(before);
    expect((await letters(scenario)).filter(({ replayedAt }) => replayedAt !== null)).toEqual([]);

    await scenario.succeed("start", "archive");
    await scenario.succeed("dead-letters", "replay", "--all");
    await scenario.succeed("stop", "readings");
    await eventually("every number once", () => isComplete(scenario));
    await scenario.succeed("stop", "doubled");
    const refused = await scenario.flowctl("dead-letters", "replay", "--all", "--again");
    expect(refused.code).toBe(6);
    expect(refused.stderr).toContain("control/component-not-running");
    await scenario.succeed("down", "-v");
    expect(await scenario.leftovers()).toEqual([]);
    scenario.passed();
  });
});
