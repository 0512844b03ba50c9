import { existsSync, readdirSync, readFileSync } from "node:fs";
import { describe, expect, test } from "vitest";
import { isAlive } from "../../src/drivers/process/instance/process-identity.ts";
import { acquireLock } from "../../src/drivers/process/supervisor/single-instance-lock.ts";
import { readSupervisorRecord } from "../../src/drivers/process/supervisor/supervisor-record.ts";
import { type Bench, createBench, eventually, isSupervisor, scriptedComponent } from "./process-driver/bench.ts";

const never = new AbortController().signal;

describe("the supervisor of a pipeline", () => {
  test("is back after kill -9 without a command, with what it ran and at its address", async () => {
    await using bench = createBench();
    await bench.up(bench.deployment([scriptedComponent("a", "chatter"), scriptedComponent("b", "serve")]));
    const address = await bench.driver.controlPlane("bench", never);
    const before = instances(bench);
    for (let kill = 1; kill <= 3; kill++) {
      await eventually("it is watched", () => watchers(bench).length === 1);
      const { pid } = bench.supervisor();
      process.kill(pid, "SIGKILL");
      await eventually("another one serves", () => servesOtherThan(bench, pid));
      expect(await bench.driver.controlPlane("bench", never)).toMatchObject({
        grpc: address?.grpc,
        http: address?.http,
      });
      expect(instances(bench)).toEqual(before);
      expect(supervisors(bench)).toHaveLength(1);
    }
    await bench.down();
    expect(bench.processes()).toEqual([]);
    expect(leftIn(bench.paths.folder)).toEqual("nothing");
  });

  test("starts another watcher in place of one that ended", async () => {
    await using bench = createBench();
    await bench.up(bench.deployment([scriptedComponent("a", "serve")]));
    const { pid } = bench.supervisor();
    for (let kill = 1; kill <= 3; kill++) {
      const watcher = await eventually("it is watched", () => watchers(bench)[0]);
      process.kill(watcher.pid, "SIGKILL");
      await eventually("another one watches", () => watchers(bench).some((other) => other.pid !== watcher.pid));
    }
    expect(bench.supervisor().pid).toBe(pid);
  });

  test("is found dead together with its watcher by the next command that starts something", async () => {
    await using bench = createBench();
    const deployment = bench.deployment([scriptedComponent("a", "serve")]);
    await bench.up(deployment);
    const before = instances(bench);
    bench.killSupervisor();
    await eventually("both are gone", () => supervisors(bench).length + watchers(bench).length === 0);
    await bench.up(deployment);
    expect(instances(bench)).toEqual(before);
    await eventually("it is watched", () => watchers(bench).length === 1);
  });

  test("does not come back where the pipeline was taken away, nor beside another one", async () => {
    await using bench = createBench();
    const deployment = bench.deployment([scriptedComponent("a", "serve")]);
    for (let round = 0; round < 5; round++) {
      await bench.up(deployment);
      const { pid } = bench.supervisor();
      process.kill(pid, "SIGKILL");
      // At once: the watcher is just taking its place.
      if (round % 2 === 0) await bench.down();
      else await bench.up(deployment);
      if (round % 2 === 0) expect(bench.processes()).toEqual([]);
      else await eventually("one is left", () => supervisors(bench).length === 1 && watchers(bench).length === 1);
    }
    await bench.down();
    expect(bench.processes()).toEqual([]);
    expect(leftIn(bench.paths.folder)).toBe("nothing");
  });

  test("waits for a command that has the lock, and begins after it", async () => {
    await using bench = createBench();
    await bench.up(bench.deployment([scriptedComponent("a", "serve")]));
    const { pid } = bench.supervisor();
    process.kill(pid, "SIGSTOP");
    const watcher = bench.watcher();
    // The name is free as soon as the process is gone, which is before the watcher has become a supervisor.
    process.kill(pid, "SIGKILL");
    const lock = await eventually("the lock", () => acquireLock(bench.paths.runId));
    await eventually("the watcher has become a supervisor", () =>
      bench.processes().some((other) => other.pid === watcher.pid && !other.isWatcher),
    );
    expect((await readSupervisorRecord(bench.paths))?.identity.pid).toBe(pid);
    await lock.release();
    await eventually("it serves", () => servesOtherThan(bench, pid));
  });

  test("is not brought back by its watcher when it ended because it was asked to", async () => {
    await using bench = createBench();
    await bench.up(bench.deployment([scriptedComponent("a", "serve")]));
    await eventually("it is watched", () => watchers(bench).length === 1);
    const supervisor = bench.supervisor();
    process.kill(supervisor.pid, "SIGTERM");
    await eventually("it has ended", () => !isAlive(supervisor));
    expect(bench.processes()).toEqual([]);
  });

  test("is back after a stop that found it hanging, or dead", async () => {
    await using bench = createBench();
    await bench.up(bench.deployment([scriptedComponent("a", "serve"), scriptedComponent("b", "serve")]));
    const impatient = bench.anotherDriver({ patienceMs: 300 });
    const context = { pipeline: "bench", signal: never, progress: () => undefined };
    const hanging = bench.supervisor();
    process.kill(hanging.pid, "SIGSTOP");
    await impatient.apply({ action: "stop", observed: await bench.observed("component/a-1"), cause: "test" }, context);
    expect(await servesOtherThan(bench, hanging.pid)).toBe(true);
    bench.killSupervisor();
    await bench.apply({ action: "stop", observed: await bench.observed("component/b-1"), cause: "test" });
    expect(await bench.driver.controlPlane("bench", never)).toBeDefined();
    for (const key of ["component/a-1", "component/b-1"]) {
      expect((await bench.observed(key)).state.status).toBe("exited");
    }
  });

  test.runIf(process.platform === "linux")("costs less than 3 MiB to watch", async () => {
    await using bench = createBench();
    await bench.up(bench.deployment([]));
    const watcher = await eventually("it is watched", () => watchers(bench)[0]);
    const status = readFileSync(`/proc/${watcher.pid}/status`, "utf8");
    const resident = Number(/VmRSS:\s+(\d+) kB/.exec(status)?.[1]);
    expect(resident).toBeGreaterThan(0);
    expect(resident).toBeLessThan(3 * 1024);
  });
});

/** Names of the files in a folder that is to be gone. */
function leftIn(folder: string): string {
  return existsSync(folder) ? `the folder with ${readdirSync(folder, { recursive: true }).join(", ")}` : "nothing";
}

function instances(bench: Bench): readonly string[] {
  return bench
    .processes()
    .flatMap(({ instance, pid }) => (instance === undefined ? [] : [`${instance} ${pid}`]))
    .sort();
}

const supervisors = (bench: Bench) => bench.processes().filter(isSupervisor);
const watchers = (bench: Bench) => bench.processes().filter(({ isWatcher }) => isWatcher);

async function servesOtherThan(bench: Bench, pid: number): Promise<boolean> {
  const record = await readSupervisorRecord(bench.paths);
  if (record === undefined || record.identity.pid === pid) return false;
  return (await bench.driver.controlPlane("bench", never)) !== undefined;
}
