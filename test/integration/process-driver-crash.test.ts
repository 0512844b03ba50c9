import { spawn } from "node:child_process";
import { existsSync, readFileSync, renameSync, rmSync, truncateSync } from "node:fs";
import { createServer } from "node:net";
import { join } from "node:path";
import { describe, expect, test } from "vitest";
import { readInstanceRecords, writeInstanceRecord } from "../../src/drivers/process/instance/instance-record.ts";
import { isAlive } from "../../src/drivers/process/instance/process-identity.ts";
import { acquireLock } from "../../src/drivers/process/supervisor/single-instance-lock.ts";
import { readSupervisorRecord } from "../../src/drivers/process/supervisor/supervisor-record.ts";
import { type Bench, createBench, eventually, isSupervisor, scriptedComponent } from "./process-driver/bench.ts";

const never = new AbortController().signal;

describe("when what proves who everybody is was lost", () => {
  const authority = (bench: Bench): string => join(bench.paths.identity, "authority.pem");
  const operator = (bench: Bench): string => join(bench.paths.identity, "operator.pem");

  test.each([
    ["the folder is gone", (bench: Bench) => rmSync(bench.paths.identity, { recursive: true })],
    ["the authority is empty", (bench: Bench) => truncateSync(authority(bench))],
    ["the authority is cut off", (bench: Bench) => truncateSync(authority(bench), 100)],
  ])("the next supervisor makes another one, and restarts those that trust the former: %s", async (_, lose) => {
    await using bench = createBench();
    const deployment = bench.deployment([scriptedComponent("a", "serve")]);
    await bench.up(deployment);
    const before = instances(bench);
    await kill(bench);
    lose(bench);
    await bench.up(deployment);
    await eventually("it runs anew", async () => {
      const { state, ref } = await bench.observed("component/a-1");
      return state.status === "running" && !before.includes(`a-1 ${ref}`);
    });
    const trusted = readFileSync(join(bench.paths.joining, "a-1", "ca.pem"), "utf8");
    expect(readFileSync(authority(bench), "utf8")).toContain(trusted);
    expect(await bench.driver.controlPlane("bench", never)).toHaveProperty("identity");
  });

  test.each([
    ["missing", (bench: Bench) => rmSync(operator(bench))],
    ["empty", (bench: Bench) => truncateSync(operator(bench))],
  ])("commands do not speak in the clear, and a restart makes it anew: the operator is %s", async (_, lose) => {
    await using bench = createBench();
    await bench.up(bench.deployment([scriptedComponent("a", "serve")]));
    const before = instances(bench);
    lose(bench);
    await expect(bench.driver.controlPlane("bench", never)).rejects.toMatchObject({
      code: "process/operator-lost",
      kind: "unavailable",
      fix: expect.stringContaining("flowctl up -d -p bench"),
    });
    await bench.apply({ action: "restart", observed: await bench.observed("control-plane/1"), cause: "test" });
    expect(await bench.driver.controlPlane("bench", never)).toHaveProperty("identity");
    expect(instances(bench)).toEqual(before);
  });
});

describe("when the supervisor is killed", () => {
  test("instances go on, and the next up takes them over, on the same control plane address", async () => {
    await using bench = createBench();
    const deployment = bench.deployment([scriptedComponent("a", "chatter"), scriptedComponent("b", "serve")]);
    await bench.up(deployment);
    const address = await bench.driver.controlPlane("bench", never);
    const before = instances(bench);
    await kill(bench);
    expect(await bench.driver.controlPlane("bench", never)).toBeUndefined();
    expect((await bench.observed("control-plane/1")).state.status).toBe("exited");
    expect((await bench.observed("component/a-1")).state.status).toBe("running");
    await bench.up(deployment);
    expect(instances(bench)).toEqual(before);
    expect(await bench.driver.controlPlane("bench", never)).toMatchObject({ grpc: address?.grpc, http: address?.http });
  });

  test("no line is lost or doubled, and each keeps its order", async () => {
    await using bench = createBench();
    const deployment = bench.deployment([scriptedComponent("a", "chatter")]);
    await bench.up(deployment);
    for (let crash = 1; crash <= 3; crash++) {
      const seen = await numbers(bench);
      await eventually("it chats", async () => (await numbers(bench)).length > seen.length + 20);
      await kill(bench);
      const dead = await numbers(bench);
      await eventually("it chats on", async () => (await numbers(bench)).length > dead.length + 20);
      await bench.up(deployment);
    }
    await bench.apply({ action: "stop", observed: await bench.observed("component/a-1"), cause: "test" });
    const all = await numbers(bench);
    expect(all).toEqual(all.map((_, i) => i + 1));
    expect((await bench.logs("a-1")).at(-1)?.text).toBe("terminated");
  });

  test("an instance that ends unseen has exited with a code that nobody knows", async () => {
    await using bench = createBench();
    await bench.up(bench.deployment([scriptedComponent("a", "serve")]));
    await kill(bench);
    process.kill(Number((await bench.observed("component/a-1")).ref), "SIGKILL");
    await eventually("it has exited", async () => (await bench.observed("component/a-1")).state.status === "exited");
    expect((await bench.observed("component/a-1")).state).toMatchObject({ status: "exited", exitCode: -1 });
  });

  test("an instance that was taken over is told of when it ends", async () => {
    await using bench = createBench();
    const deployment = bench.deployment([scriptedComponent("a", "serve")]);
    await bench.up(deployment);
    await kill(bench);
    await bench.up(deployment);
    const ending = new AbortController();
    const events = bench.driver.events("bench", ending.signal)[Symbol.asyncIterator]();
    const first = events.next();
    process.kill(Number((await bench.observed("component/a-1")).ref), "SIGKILL");
    expect((await first).value).toMatchObject({ type: "exited", key: "component/a-1", exitCode: -1 });
    ending.abort();
  });

  test("stop, remove and down need no supervisor", async () => {
    await using bench = createBench();
    const b = scriptedComponent("b", "family");
    await bench.up(bench.deployment([scriptedComponent("a", "serve"), b, scriptedComponent("c", "serve")]));
    await eventually("the family is there", () => instances(bench).length === 5);
    await kill(bench);
    await bench.apply({ action: "stop", observed: await bench.observed("component/a-1"), cause: "test" });
    expect((await bench.observed("component/a-1")).state.status).toBe("exited");
    await bench.apply({ action: "remove", observed: await bench.observed("component/a-1"), cause: "test" });
    await expect(bench.observed("component/a-1")).rejects.toThrow();
    await bench.down();
    expect(bench.processes()).toEqual([]);
    expect(existsSync(bench.paths.folder)).toBe(false);
  });

  test("an instance that was started just before, and is not on record yet, is taken over", async () => {
    await using bench = createBench();
    const deployment = bench.deployment([scriptedComponent("a", "serve")]);
    await bench.up(deployment);
    const before = instances(bench);
    await kill(bench);
    const [record] = await readInstanceRecords(bench.paths);
    if (record === undefined) throw new Error("no record");
    await writeInstanceRecord(bench.paths, { ...record, process: { status: "created" } });
    expect((await bench.observed("component/a-1")).state.status).toBe("running");
    await bench.apply({ action: "start", observed: await bench.observed("control-plane/1"), cause: "test" });
    await eventually("it is on record", async () => {
      const [now] = await readInstanceRecords(bench.paths);
      return now?.process.status === "running";
    });
    expect(instances(bench)).toEqual(before);
  });

  test("down ends also what carries the pipeline's marker and is on no record", async () => {
    await using bench = createBench();
    await bench.up(bench.deployment([]));
    const env = { FLOWCTL_RUN_ID: bench.paths.runId, FLOWCTL_INSTANCE_ID: "ghost-1" };
    const ghost = spawn("/bin/sleep", ["1000"], { env, stdio: "ignore" });
    await eventually("the ghost is there", () => instances(bench).length === 1);
    await kill(bench);
    await bench.down();
    expect(bench.processes()).toEqual([]);
    expect(ghost.signalCode ?? "not told yet").toMatch(/SIGKILL|not told yet/);
  });

  test("a change that starts something starts a supervisor first", async () => {
    await using bench = createBench();
    await bench.up(bench.deployment([scriptedComponent("a", "serve")]));
    await kill(bench);
    const before = await bench.observed("component/a-1");
    await bench.apply({ action: "restart", observed: before, cause: "test" });
    expect((await bench.observed("control-plane/1")).state.status).toBe("running");
    expect((await bench.observed("component/a-1")).ref).not.toBe(before.ref);
  });

  test("at whatever moment of an up, down leaves nothing", async () => {
    // Spread over the whole of an up: the supervisor begins, it can be found, and then each of its spawns.
    for (const spawned of ["nothing", "its record", 1, 2, 4, 6, 8, 10] as const) {
      await using bench = createBench();
      const components = ["a", "b", "c", "d"].map((id) => scriptedComponent(id, "family"));
      const up = bench.up(bench.deployment(components)).catch(() => undefined);
      const supervisor = await eventually("a supervisor", () => supervisorOf(bench));
      await eventually(`spawned ${spawned}`, async () => {
        if (spawned === "nothing") return true;
        if (spawned === "its record") return (await readSupervisorRecord(bench.paths)) !== undefined;
        return instances(bench).length >= spawned;
      });
      process.kill(supervisor.pid, "SIGKILL");
      await Promise.race([up, eventually("some instance", () => instances(bench).length > 0)]);
      await bench.down();
      await up;
      await bench.down();
      expect(bench.processes()).toEqual([]);
      expect(existsSync(bench.paths.folder)).toBe(false);
    }
  });

  test("while it hangs, down ends it and everything else", async () => {
    await using bench = createBench();
    await bench.up(bench.deployment([scriptedComponent("a", "serve")]));
    process.kill(bench.supervisor().pid, "SIGSTOP");
    await bench.down(bench.anotherDriver({ patienceMs: 300 }));
    expect(bench.processes()).toEqual([]);
  });
});

describe("a new supervisor in place of the old one", () => {
  test("leaves the instances running", async () => {
    await using bench = createBench();
    await bench.up(bench.deployment([scriptedComponent("a", "serve")]));
    const before = instances(bench);
    const { pid } = bench.supervisor();
    await bench.apply({ action: "restart", observed: await bench.observed("control-plane/1"), cause: "test" });
    expect(bench.supervisor().pid).not.toBe(pid);
    expect(instances(bench)).toEqual(before);
  });

  test("tells instances of its address when the old one was taken", async () => {
    await using bench = createBench();
    const deployment = bench.deployment([scriptedComponent("a", "serve")]);
    await bench.up(deployment);
    const before = await bench.driver.controlPlane("bench", never);
    const { ref } = await bench.observed("component/a-1");
    await kill(bench);
    const squatter = createServer();
    await new Promise<void>((resolve, reject) => {
      squatter.once("error", reject);
      squatter.listen(Number(before?.grpc.split(":")[1]), "127.0.0.1", resolve);
    });
    await bench.up(deployment);
    expect((await bench.driver.controlPlane("bench", never))?.grpc).not.toBe(before?.grpc);
    await eventually("it runs anew", async () => {
      const { state, ref: now } = await bench.observed("component/a-1");
      return state.status === "running" && now !== ref;
    });
    squatter.close();
  });
});

test("of many supervisors that are started at once one stays", async () => {
  await using bench = createBench();
  const deployment = bench.deployment([scriptedComponent("a", "serve")]);
  await Promise.all([1, 2, 3, 4].map(() => bench.up(deployment, bench.anotherDriver())));
  const leaders = () => bench.processes().filter(isSupervisor);
  await eventually("the others are gone", () => leaders().length === 1);
  expect(instances(bench)).toHaveLength(1);
});

test("a supervisor waits for a command that holds the pipeline's lock", async () => {
  await using bench = createBench();
  const lock = await acquireLock(bench.paths.runId);
  let up = false;
  const going = bench.up(bench.deployment([scriptedComponent("a", "serve")])).then(() => {
    up = true;
  });
  const pids = new Set<number>();
  await eventually("several have found it locked", () => {
    for (const found of bench.processes()) if (isSupervisor(found)) pids.add(found.pid);
    return pids.size >= 3;
  });
  expect(up).toBe(false);
  expect(existsSync(bench.paths.supervisorFile)).toBe(false);
  await lock?.release();
  await going;
  expect(instances(bench)).toHaveLength(1);
});

test("a supervisor whose folder was removed by hand ends, with everything that it runs", async () => {
  await using bench = createBench();
  await bench.up(bench.deployment([scriptedComponent("a", "serve")]));
  // In one step: what runs goes on writing there.
  renameSync(bench.paths.folder, join(bench.home, "removed"));
  await eventually("nothing runs", () => bench.processes().length === 0);
});

test("an up during a down ends with everything up or everything gone, and never with an orphan", async () => {
  await using bench = createBench();
  const deployment = bench.deployment([scriptedComponent("a", "serve"), scriptedComponent("b", "serve")]);
  for (let round = 0; round < 4; round++) {
    await bench.up(deployment);
    await Promise.allSettled([bench.down(), bench.up(deployment, bench.anotherDriver())]);
    await bench.down();
    expect(bench.processes()).toEqual([]);
  }
});

function instances(bench: Bench): readonly string[] {
  return bench
    .processes()
    .flatMap(({ instance, pid }) => (instance === undefined ? [] : [`${instance} ${pid}`]))
    .sort();
}

function supervisorOf(bench: Bench) {
  return bench.processes().find(isSupervisor);
}

async function kill(bench: Bench): Promise<void> {
  const supervisor = bench.supervisor();
  bench.killSupervisor();
  await eventually("the supervisor is gone", () => !isAlive(supervisor));
}

async function numbers(bench: Bench): Promise<readonly number[]> {
  return (await bench.logs("a-1")).flatMap(({ text }) => {
    const number = /^line (\d+)$/.exec(text)?.[1];
    return number === undefined ? [] : [Number(number)];
  });
}
