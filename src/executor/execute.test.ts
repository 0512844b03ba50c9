import { describe, expect, it } from "vitest";
import type {
  Change,
  DesiredResource,
  ObservedState,
  Prerequisite,
  ProgressEvent,
  ResourceKey,
} from "../drivers/driver.ts";
import { MemoryDriver } from "../drivers/memory-driver.fake.ts";
import { type Clock, systemClock } from "../foundation/clock.ts";
import { FlowctlError } from "../foundation/errors.ts";
import { NEVER_STARTS } from "../foundation/never-starts.ts";
import { resourceOf } from "../planner/plan.ts";
import { planUp } from "../planner/plan-up.ts";
import { executePlan } from "./execute.ts";

const signal = (): AbortSignal => new AbortController().signal;

function want(key: ResourceKey, after: readonly Prerequisite[] = []): DesiredResource {
  const [kind, rest] = key.split("/") as [DesiredResource["kind"], string];
  return { key, kind, owner: rest.replace(/-\d+$/, ""), index: 1, hash: "h", parts: {}, after, spec: {} };
}

const options = (driver: MemoryDriver, progress: (event: ProgressEvent) => void = () => undefined) => ({
  driver,
  clock: systemClock,
  signal: signal(),
  progress,
  pollIntervalMs: 1,
});

const healthy: ObservedState = { status: "running", startedAt: 0, health: "healthy", restarts: 0 };

describe("executePlan", () => {
  it("waits until a prerequisite is healthy before it begins what needs it", async () => {
    const driver = new MemoryDriver({
      startedState: ({ key }) => (key === "service/db-1" ? { ...healthy, health: "starting" } : healthy),
      onApply: (change) => {
        if (resourceOf(change).key === "component/a-1") {
          expect(driver.state.get("p")?.get("service/db-1")?.state).toMatchObject({ health: "healthy" });
        }
      },
    });
    const seen: string[] = [];
    const plan = planUp(
      "p",
      [want("service/db-1"), want("component/a-1", [{ key: "service/db-1", condition: "healthy" }])],
      [],
    );
    await executePlan(
      plan,
      options(driver, ({ subject, text }) => {
        seen.push(`${subject} ${text}`);
        if (text !== "Waiting until healthy") return;
        const db = driver.state.get("p")?.get("service/db-1");
        if (db !== undefined) driver.state.get("p")?.set("service/db-1", { ...db, state: healthy });
      }),
    );
    expect(driver.applied).toEqual(["create service/db-1", "create component/a-1"]);
    expect(seen).toContain("service/db-1 Healthy");
  });

  it("fails when a prerequisite that was there has been taken away, and waits for one that is made anew", async () => {
    const driver = new MemoryDriver({});
    const database = want("service/db-1");
    const api = want("component/a-1", [{ key: "service/db-1", condition: "started" }]);
    await executePlan(planUp("p", [database], []), options(driver));
    const plan = planUp("p", [database, api], await driver.observe("p"));
    const made = driver.state.get("p")?.get("service/db-1");
    if (made === undefined) throw new Error("no service/db-1");
    let now = 0;
    let returnsAt = Number.POSITIVE_INFINITY;
    const clock: Clock = {
      now: () => now,
      elapsed: () => now,
      sleep: async () => {
        await new Promise((wake) => setImmediate(wake));
        now += 1_000;
        if (now >= returnsAt) driver.state.get("p")?.set("service/db-1", made);
      },
    };
    driver.state.get("p")?.delete("service/db-1");
    await expect(executePlan(plan, { ...options(driver), clock })).rejects.toMatchObject({
      code: "planner/prerequisite-gone",
      kind: "conflict",
    });
    expect(driver.applied).toEqual(["create service/db-1"]);
    returnsAt = now + 3_000;
    await executePlan(plan, { ...options(driver), clock });
    expect(driver.applied).toEqual(["create service/db-1", "create component/a-1"]);
  });

  it("fails at once when a prerequisite can no longer be met", async () => {
    const driver = new MemoryDriver({
      startedState: () => ({ status: "exited", exitCode: 3, oomKilled: false, finishedAt: 0, restarts: 0 }),
    });
    const plan = planUp(
      "p",
      [want("service/db-1"), want("component/a-1", [{ key: "service/db-1", condition: "healthy" }])],
      [],
    );
    const failure = await executePlan(plan, options(driver)).catch((error: unknown) => error);
    expect(failure).toMatchObject({ code: "planner/prerequisite-failed" });
    expect((failure as FlowctlError).message).toContain("exited with code 3");
    expect(driver.applied).toEqual(["create service/db-1"]);
  });

  it("fails at once when a control plane that is started again and again says that it can never start", async () => {
    let ends = 0;
    const driver = new MemoryDriver({
      startedState: () => ({
        status: "restarting",
        exitCode: NEVER_STARTS,
        get restarts() {
          return ends++;
        },
      }),
    });
    const plan = planUp(
      "p",
      [want("control-plane/1"), want("component/a-1", [{ key: "control-plane/1", condition: "healthy" }])],
      [],
    );
    await expect(executePlan(plan, options(driver))).rejects.toMatchObject({
      code: "planner/prerequisite-failed",
      message: expect.stringContaining("cannot start"),
    });
    expect(driver.applied).toEqual(["create control-plane/1"]);
  });

  it("begins nothing after the first error, lets what runs finish, and throws that error", async () => {
    let release = (): void => undefined;
    const held = new Promise<void>((resolve) => {
      release = resolve;
    });
    const driver = new MemoryDriver({
      onApply: async (change) => {
        const { key } = resourceOf(change);
        if (key === "component/slow-1") await held;
        if (key === "component/bad-1") {
          setImmediate(release);
          throw new FlowctlError({ code: "docker/no-such-image", kind: "not-found", message: "no image" });
        }
      },
    });
    const later = want("component/later-1", [{ key: "component/slow-1", condition: "started" }]);
    const plan = planUp("p", [want("component/slow-1"), want("component/bad-1"), later], []);
    await expect(executePlan(plan, options(driver))).rejects.toMatchObject({ code: "docker/no-such-image" });
    expect(driver.applied).toEqual(["create component/slow-1"]);
  });

  it("runs no more steps at once than it may", async () => {
    let running = 0;
    let most = 0;
    const driver = new MemoryDriver({
      onApply: async () => {
        most = Math.max(most, ++running);
        await new Promise((resolve) => setImmediate(resolve));
        running--;
      },
    });
    const wanted = Array.from({ length: 12 }, (_, i) => want(`component/c${i}-1`));
    await executePlan(planUp("p", wanted, []), { ...options(driver), concurrency: 3 });
    expect(most).toBe(3);
    expect(driver.applied).toHaveLength(12);
  });

  it("ends as cancelled when its signal fires, and what was done stays", async () => {
    const stop = new AbortController();
    const driver = new MemoryDriver({
      onApply: (change) => {
        if (resourceOf(change).key === "component/b-1") stop.abort();
      },
    });
    const wanted = [want("component/a-1"), want("component/b-1", [{ key: "component/a-1", condition: "started" }])];
    const run = executePlan(planUp("p", wanted, []), { ...options(driver), signal: stop.signal });
    await expect(run).rejects.toMatchObject({ kind: "cancelled" });
    expect([...(driver.state.get("p")?.keys() ?? [])]).toEqual(["component/a-1"]);
  });

  it("calls beforeStep when the prerequisites are met and fails the step with its error", async () => {
    const driver = new MemoryDriver();
    const plan = planUp("p", [want("component/a-1")], []);
    const run = executePlan(plan, {
      ...options(driver),
      beforeStep: () =>
        Promise.reject(new FlowctlError({ code: "client/unreachable", kind: "unavailable", message: "x" })),
    });
    await expect(run).rejects.toMatchObject({ code: "client/unreachable" });
    expect(driver.applied).toEqual([]);
  });

  it("hands force to the driver", async () => {
    const forced: (boolean | undefined)[] = [];
    const driver = new MemoryDriver({ onApply: (_change: Change, context) => void forced.push(context.force) });
    await executePlan(planUp("p", [want("component/a-1")], []), { ...options(driver), force: true });
    expect(forced).toEqual([true]);
  });
});
