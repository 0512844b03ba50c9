import { existsSync, readFileSync, statSync } from "node:fs";
import { createServer } from "node:net";
import { dirname, join } from "node:path";
import { describe, expect, test } from "vitest";
import type { DriverEvent } from "../../src/drivers/driver.ts";
import { identify, isAlive } from "../../src/drivers/process/instance/process-identity.ts";
import { hasCode } from "../../src/foundation/errors.ts";
import type { Component } from "../../src/pipeline/pipeline.ts";
import { type Bench, createBench, eventually, isSupervisor, scriptedComponent } from "./process-driver/bench.ts";

const never = new AbortController().signal;

describe("a pipeline on processes", () => {
  test("comes up healthy and goes without a trace", async () => {
    await using bench = createBench();
    const a = scriptedComponent("a", "serve", { replicas: 2 });
    await bench.up(bench.deployment([a, scriptedComponent("b", "serve")]));
    await eventually("every instance is healthy", async () =>
      (await bench.driver.observe("bench", never)).every(
        ({ kind, state }) => kind === "volume" || (state.status === "running" && state.health === "healthy"),
      ),
    );
    expect(instancesOf(bench)).toEqual(["a-1", "a-2", "b-1"]);
    await bench.down();
    expect(bench.processes()).toEqual([]);
    expect(existsSync(bench.paths.folder)).toBe(false);
    expect(await bench.driver.pipelines(never)).toEqual([]);
  });

  test("works under a home whose path is too long for a socket, and leaves nothing elsewhere", async () => {
    await using bench = createBench({}, "deep/".repeat(30));
    await bench.up(bench.deployment([scriptedComponent("a", "serve")]));
    expect(instancesOf(bench)).toEqual(["a-1"]);
    expect(existsSync(bench.paths.socket)).toBe(true);
    await bench.down();
    expect(existsSync(dirname(bench.paths.socket))).toBe(false);
  });

  test("is left alone by a second up of the same, and changed only where it differs", async () => {
    await using bench = createBench();
    const a = scriptedComponent("a", "serve");
    await bench.up(bench.deployment([a, scriptedComponent("b", "serve")]));
    const before = bench.processes();
    await bench.up(bench.deployment([a, scriptedComponent("b", "serve")]));
    expect(bench.processes()).toEqual(before);
    await bench.up(bench.deployment([a, scriptedComponent("b", "serve", { with: { limit: 3 } })]));
    const after = bench.processes();
    expect(pidOf(after, "a-1")).toBe(pidOf(before, "a-1"));
    expect(pidOf(after, "b-1")).not.toBe(pidOf(before, "b-1"));
  });

  test("runs each instance in a session of its own, with the contract in its environment and none of the caller's", async () => {
    await using bench = createBench({ FLOWCTL_LOG_LEVEL: "from the caller", USER_SETTING: "private" });
    await bench.up(bench.deployment([scriptedComponent("a", "serve", { with: { n: 1 } })]));
    const { pid } = bench.processes().find(({ instance }) => instance === "a-1") ?? { pid: 0 };
    const environment = readFileSync(`/proc/${pid}/environ`, "utf8").split("\0");
    expect(environment).toContain('FLOWCTL_CONFIG={"n":1}');
    expect(environment).toContain("FLOWCTL_LOG_LEVEL=debug");
    expect(environment.filter((variable) => /^(?:FLOWCTL_HOME|USER_SETTING)=/.test(variable))).toEqual([]);
    const session = readFileSync(`/proc/${pid}/stat`, "utf8").split(") ")[1]?.split(" ")[3];
    expect(session).toBe(String(pid));
  });

  test("gives an instance its secrets as files of its own, and to nothing else", async () => {
    await using bench = createBench({ DB_PASSWORD: "hunter2-hunter2" });
    const grant = { source: "db_password", target: "/run/secrets/db_password" };
    const deployment = bench.deployment([scriptedComponent("a", "serve", { secrets: [grant] })], {
      secretValues: new Map([["db_password", Buffer.from("hunter2-hunter2")]]),
    });
    const secrets = { db_password: { kind: "environment", variable: "DB_PASSWORD" } } as const;
    const desired = await bench.up({ ...deployment, pipeline: { ...deployment.pipeline, secrets } });
    const file = join(bench.paths.secrets, "a-1", "db_password");
    expect(readFileSync(file, "utf8")).toBe("hunter2-hunter2");
    expect(statSync(file).mode & 0o777).toBe(0o600);
    expect(statSync(join(bench.paths.secrets, "a-1")).mode & 0o777).toBe(0o700);
    expect(JSON.stringify(desired)).not.toContain("hunter2");
    for (const { pid } of bench.processes()) {
      expect(readFileSync(`/proc/${pid}/environ`, "utf8")).not.toContain("hunter2");
      expect(readFileSync(`/proc/${pid}/cmdline`, "utf8")).not.toContain("hunter2");
    }
    expect(readFileSync(join(bench.paths.instances, "a-1.json"), "utf8")).not.toContain("hunter2");
    expect(readFileSync(bench.paths.supervisorFile, "utf8")).not.toContain("hunter2");

    await bench.apply({ action: "remove", observed: await bench.observed("component/a-1"), cause: "test" });
    expect(existsSync(file)).toBe(false);
  });

  test("gives an instance of the caller's environment only what every program needs, and all of it where the file asks", async () => {
    await using bench = createBench({
      DB_PASSWORD: "hunter2-hunter2",
      AWS_SESSION_TOKEN: "of the caller",
      LC_TIME: "C",
    });
    const secrets = { db_password: { kind: "environment", variable: "DB_PASSWORD" } } as const;
    const up = async (...components: readonly Component[]): Promise<void> => {
      const deployment = bench.deployment(components);
      await bench.up({ ...deployment, pipeline: { ...deployment.pipeline, secrets } });
    };
    const environmentOf = (which: string): string[] => {
      const { pid } = bench.processes().find(({ instance }) => instance === which) ?? bench.supervisor();
      return readFileSync(`/proc/${pid}/environ`, "utf8").split("\0");
    };
    const a = scriptedComponent("a", "serve", { environment: { OWN: "of the file" } });
    await up(a);
    expect(environmentOf("a-1")).toEqual(expect.arrayContaining(["LC_TIME=C", "OWN=of the file"]));
    expect(environmentOf("a-1").join()).not.toContain("of the caller");
    expect(environmentOf("supervisor").join()).not.toContain("of the caller");

    const before = await bench.observed("component/a-1");
    await up(a, scriptedComponent("b", "serve", { inheritEnvironment: true }));
    expect(environmentOf("b-1")).toContain("AWS_SESSION_TOKEN=of the caller");
    expect(environmentOf("b-1").join()).not.toContain("hunter2");
    // The other one neither gets it nor is restarted.
    expect((await bench.observed("component/a-1")).ref).toBe(before.ref);
    await bench.apply({ action: "restart", observed: before, cause: "test" });
    expect(environmentOf("a-1").join()).not.toContain("of the caller");
  });

  test("changes an instance when its secret does", async () => {
    await using bench = createBench();
    const component = scriptedComponent("a", "serve", { secrets: [{ source: "s", target: "/run/secrets/s" }] });
    const hashOf = async (value: string): Promise<string | undefined> => {
      const deployment = bench.deployment([component], { secretValues: new Map([["s", Buffer.from(value)]]) });
      const options = { signal: never, progress: () => undefined, build: false, dryRun: false };
      const desired = await bench.driver.prepare(deployment, options);
      return desired.find(({ key }) => key === "component/a-1")?.parts.secrets;
    };
    expect(await hashOf("one")).toBe(await hashOf("one"));
    expect(await hashOf("one")).not.toBe(await hashOf("two"));
  });
});

describe("an instance", () => {
  test("is told of with its exit code when it ends by itself, and stays down until a change starts it", async () => {
    await using bench = createBench();
    await bench.up(bench.deployment([]));
    const events = await collectEvents(bench);
    await bench.up(bench.deployment([scriptedComponent("ok", "finish"), scriptedComponent("bad", "fail")]));
    await eventually("both have exited", () => events.filter(({ type }) => type === "exited").length === 2);
    expect(events).toContainEqual(expect.objectContaining({ type: "started", key: "component/ok-1" }));
    expect(events).toContainEqual(expect.objectContaining({ type: "exited", key: "component/ok-1", exitCode: 0 }));
    expect(events).toContainEqual(expect.objectContaining({ type: "exited", key: "component/bad-1", exitCode: 3 }));
    const bad = await bench.observed("component/bad-1");
    expect(bad.state).toMatchObject({ status: "exited", exitCode: 3, restarts: 0 });
    await bench.apply({ action: "start", observed: bad, cause: "test" });
    await eventually("it has exited again", () => events.filter(({ type }) => type === "exited").length === 3);
    expect((await bench.observed("component/bad-1")).state).toMatchObject({ status: "exited", restarts: 1 });
  });

  test("keeps its ports over a restart, and gets others when somebody took them", async () => {
    await using bench = createBench();
    await bench.up(bench.deployment([scriptedComponent("a", "serve"), scriptedComponent("b", "serve")]));
    const before = await bench.observed("component/a-1");
    await bench.apply({ action: "restart", observed: before, cause: "test" });
    const after = await bench.observed("component/a-1");
    expect(after.ref).not.toBe(before.ref);
    expect(after.ports).toEqual(before.ports);

    await bench.apply({ action: "stop", observed: after, cause: "test" });
    const port = Number(/:(\d+)->health/.exec(after.ports.join())?.[1]);
    await using _taken = await occupy(port);
    await bench.apply({ action: "start", observed: after, cause: "test" });
    await eventually("it is healthy on another port", async () => {
      const { state, ports } = await bench.observed("component/a-1");
      return state.status === "running" && state.health === "healthy" && !ports.join().includes(`:${port}-`);
    });
  });

  test("is stopped by SIGTERM within its grace period, and killed after it", async () => {
    await using bench = createBench();
    const stubborn = scriptedComponent("stubborn", "stubborn", { stopGracePeriodMs: 300 });
    await bench.up(bench.deployment([scriptedComponent("a", "serve"), stubborn]));
    for (const name of ["a-1", "stubborn-1"]) {
      await eventually("it listens", async () =>
        (await bench.logs(name)).some(({ text }) => text.startsWith("listening")),
      );
      await bench.apply({ action: "stop", observed: await bench.observed(`component/${name}`), cause: "test" });
    }
    expect((await bench.observed("component/a-1")).state).toMatchObject({ status: "exited", exitCode: 0 });
    expect((await bench.observed("component/stubborn-1")).state).toMatchObject({ status: "exited", exitCode: 137 });
    expect((await bench.logs("a-1")).map(({ text }) => text)).toContain("terminated");
    expect((await bench.logs("stubborn-1")).map(({ text }) => text)).toContain("not yet");
    expect(instancesOf(bench)).toEqual([]);
  });

  test("is killed at once when forced", async () => {
    await using bench = createBench();
    await bench.up(bench.deployment([scriptedComponent("a", "stubborn", { stopGracePeriodMs: 3_600_000 })]));
    await bench.apply(
      { action: "stop", observed: await bench.observed("component/a-1"), cause: "test" },
      { force: true },
    );
    expect((await bench.observed("component/a-1")).state).toMatchObject({ status: "exited", exitCode: 137 });
  });

  test.each(["stop", "remove", "its own end"] as const)(
    "takes its children with it on %s, whatever group or environment they gave themselves",
    async (action) => {
      await using bench = createBench();
      await bench.up(bench.deployment([scriptedComponent("a", "family")]));
      await eventually("the family is there", () => instancesOf(bench).length === 3);
      const bare = await eventually(
        "a child without environment",
        async () =>
          (await bench.logs("a-1")).flatMap(({ text }) => /^bare pid=(\d+)$/.exec(text)?.[1] ?? []).map(Number)[0],
      );
      const identity = identify(bare);
      if (identity === undefined) throw new Error("the child is not there");
      const observed = await bench.observed("component/a-1");
      if (action === "its own end") process.kill(Number(observed.ref), "SIGKILL");
      else await bench.apply({ action, observed, cause: "test" });
      if (action === "its own end") await eventually("all have ended", () => instancesOf(bench).length === 0);
      await eventually("the child without environment has ended", () => !isAlive(identity));
      expect(instancesOf(bench)).toEqual([]);
    },
  );

  test("is the one that is there when it is created twice at once", async () => {
    await using bench = createBench();
    const deployment = bench.deployment([scriptedComponent("a", "serve")]);
    await Promise.all([bench.up(deployment), bench.up(deployment, bench.anotherDriver())]);
    expect(instancesOf(bench)).toEqual(["a-1"]);
    await eventually("one supervisor is left", () => bench.processes().filter(isSupervisor).length === 1);
  });

  test("is judged by its own health check where it has one", async () => {
    await using bench = createBench();
    const check = (test: readonly string[]) => ({ test, intervalMs: 100, retries: 2, disable: false });
    await bench.up(
      bench.deployment([
        scriptedComponent("good", "serve", { healthcheck: check(["CMD-SHELL", 'test -n "$FLOWCTL_HEALTH_PORT"']) }),
        scriptedComponent("bad", "serve", { healthcheck: check(["CMD", "false"]) }),
        // As the model has `NONE`, and `disable: true`.
        scriptedComponent("none", "serve", { healthcheck: { ...check(["NONE"]), disable: true } }),
      ]),
    );
    const healthOf = async (key: string): Promise<string> => {
      const { state } = await bench.observed(key);
      return state.status === "running" ? state.health : state.status;
    };
    await eventually("good is healthy", async () => (await healthOf("component/good-1")) === "healthy");
    await eventually("bad is unhealthy", async () => (await healthOf("component/bad-1")) === "unhealthy");
    expect(await healthOf("component/none-1")).toBe("none");
  });
});

describe("what cannot run as processes is refused before anything starts", () => {
  const refusal = async (change: (bench: Bench) => ReturnType<Bench["deployment"]>): Promise<unknown> => {
    await using bench = createBench();
    const options = { signal: never, progress: () => undefined, build: false, dryRun: false };
    return await bench.driver.prepare(change(bench), options).then(
      () => undefined,
      (error: unknown) => error,
    );
  };
  const code = (expected: string) => expect.toSatisfy((error) => hasCode(error, expected), `has the code ${expected}`);

  test("a command that is not on the PATH", async () => {
    const command = ["no-such-command-anywhere"];
    expect(await refusal((bench) => bench.deployment([scriptedComponent("a", "serve", { command })]))).toEqual(
      code("process/command-not-found"),
    );
  });

  test("a command whose file is missing, or is not executable", async () => {
    const run = (command: string[]) =>
      refusal((bench) => bench.deployment([scriptedComponent("a", "serve", { command })]));
    expect(await run(["./missing"])).toEqual(code("process/command-not-found"));
    expect(await run(["/etc/passwd"])).toEqual(code("process/command-not-executable"));
  });

  test("a component that has only an image", async () => {
    const { command: _, ...image } = scriptedComponent("a", "serve", { image: "busybox" });
    expect(await refusal((bench) => bench.deployment([image]))).toEqual(code("driver/not-runnable"));
  });

  test("a service, by its name", async () => {
    const { type: _, ...settings } = scriptedComponent("db", "serve");
    const error = await refusal((bench) => {
      const deployment = bench.deployment([]);
      return { ...deployment, pipeline: { ...deployment.pipeline, services: [{ ...settings, replicas: 1 }] } };
    });
    expect(error).toEqual(code("driver/services-unsupported"));
    expect(String(error)).toContain('"db"');
  });
});

function instancesOf(bench: Bench): readonly string[] {
  return bench
    .processes()
    .flatMap(({ instance }) => instance ?? [])
    .sort();
}

function pidOf(processes: ReturnType<Bench["processes"]>, instance: string): number | undefined {
  return processes.find((process) => process.instance === instance)?.pid;
}

/** Everything that happens from now on. */
async function collectEvents(bench: Bench): Promise<readonly DriverEvent[]> {
  const events: DriverEvent[] = [];
  const iterator = bench.driver.events("bench", never)[Symbol.asyncIterator]();
  const first = iterator.next();
  void (async () => {
    for (let next = await first; next.done !== true; next = await iterator.next()) events.push(next.value);
  })().catch(() => undefined);
  return events;
}

async function occupy(port: number): Promise<AsyncDisposable> {
  const server = createServer();
  await new Promise<void>((resolve) => server.listen(port, "127.0.0.1", resolve));
  return { [Symbol.asyncDispose]: () => new Promise<void>((resolve) => server.close(() => resolve())) };
}
