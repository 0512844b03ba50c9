import { join } from "node:path";
import { beforeAll, expect, it } from "vitest";
import { pipelinePaths } from "../../src/drivers/process/home/paths.ts";
import { isAlive, type MarkedProcess, markedProcesses } from "../../src/drivers/process/instance/process-identity.ts";
import { buildProgram, eventually, Scenario } from "../e2e/checks.ts";

/** The process supervisor and its watcher are killed by turns while numbered events go as fast as they can. */
const COUNT = 400_000;
const KILLS = 10;
const pipeline = `
sources:
  numbers: { uses: generator, with: { count: ${COUNT}, rate: unlimited } }
processors:
  passed: { uses: filter, inputs: [numbers], with: { where: payload.sequence > 0 } }
sinks:
  archive: { uses: file, inputs: [passed], with: { path: ./out/archive.jsonl } }
`;

beforeAll(buildProgram);

it("every number arrives once while the supervisor and its watcher are killed by turns, and no command is run", async () => {
  await using scenario = await Scenario.on("process", pipeline);
  const { runId } = pipelinePaths(join(scenario.folder, ".home"), scenario.name);
  const processes = (): readonly MarkedProcess[] => markedProcesses(runId);
  const own = (): readonly MarkedProcess[] => processes().filter(({ instance }) => instance === undefined);
  const components = (): readonly string[] =>
    processes().flatMap(({ instance, pid, group }) =>
      instance !== undefined && pid === group ? [`${instance} ${pid}`] : [],
    );
  await scenario.succeed("up", "-d");
  const before = [...components()].sort();
  const recoveries: number[] = [];
  for (let turn = 0; turn < KILLS; turn++) {
    const isWatched = (): boolean =>
      own().some(({ isWatcher }) => isWatcher) && own().some(({ isWatcher }) => !isWatcher);
    await eventually("a supervisor and its watcher", async () => isWatched(), 60_000);
    const victim = own().find(({ isWatcher }) => isWatcher === (turn % 2 === 1));
    if (victim === undefined) throw new Error("nobody to kill");
    process.kill(victim.pid, "SIGKILL");
    const killedAt = performance.now();
    await eventually("the victim is gone", async () => !isAlive(victim), 60_000);
    await eventually("both are back", async () => isWatched() && own().every(({ pid }) => pid !== victim.pid), 60_000);
    recoveries.push(Math.round(performance.now() - killedAt));
    expect(own().filter(({ isWatcher }) => !isWatcher)).toHaveLength(1);
  }
  // Those that have not completed yet are the very processes that they were.
  expect(before).toEqual(expect.arrayContaining([...components()]));
  await scenario.succeed("wait", "--timeout", "300");
  const numbers = (await scenario.lines("out/archive.jsonl")).map(
    (line) => (JSON.parse(line) as { sequence: number }).sequence,
  );
  expect(numbers).toHaveLength(COUNT);
  expect(new Set(numbers).size).toBe(COUNT);
  await scenario.succeed("down", "-v");
  expect(processes()).toEqual([]);
  expect(await scenario.leftovers()).toEqual([]);
  console.log(`${KILLS} kills; watched again after ${recoveries.join(", ")} ms`);
  scenario.passed();
}, 600_000);
