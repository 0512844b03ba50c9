import * as fc from "fast-check";
import { describe, expect, it } from "vitest";
import type { DesiredResource, ObservedResource, ObservedState, Prerequisite, ResourceKey } from "../drivers/driver.ts";
import { MemoryDriver } from "../drivers/memory-driver.fake.ts";
import { executePlan } from "../executor/execute.ts";
import { systemClock } from "../foundation/clock.ts";
import { resourceOf } from "./plan.ts";
import { planDown } from "./plan-lifecycle.ts";
import { planUp } from "./plan-up.ts";

const running: ObservedState = { status: "running", startedAt: 1, health: "healthy", restarts: 0 };
const exited = (exitCode: number): ObservedState => ({
  status: "exited",
  exitCode,
  oomKilled: false,
  finishedAt: 2,
  restarts: 0,
});

function want(
  key: ResourceKey,
  parts: Record<string, string> = {},
  after: readonly Prerequisite[] = [],
): DesiredResource {
  const [kind, rest] = key.split("/") as [DesiredResource["kind"], string];
  const match = /^(.*)-(\d+)$/.exec(rest);
  const runnable = kind === "component" || kind === "service";
  return {
    key,
    kind,
    owner: runnable && match ? (match[1] as string) : kind === "control-plane" ? "control-plane" : rest,
    index: runnable && match ? Number(match[2]) : kind === "control-plane" ? 1 : 0,
    hash: `h:${JSON.stringify(parts)}`,
    parts,
    after,
    spec: {},
  };
}

function seen(
  resource: DesiredResource,
  state: ObservedState = running,
  ports: readonly string[] = [],
): ObservedResource {
  const { key, kind, owner, index, hash, parts } = resource;
  return { key, kind, owner, index, hash, parts, state, ref: key, name: `p-${owner}-${index}`, ports };
}

const actions = (plan: { steps: readonly { change: Parameters<typeof resourceOf>[0] & { cause: string } }[] }) =>
  plan.steps.map(({ change }) => `${change.action} ${resourceOf(change).key}: ${change.cause}`);

describe("planUp", () => {
  it("restarts a control plane that runs and does not answer, and leaves the components alone", () => {
    const desired = [want("control-plane/1"), want("component/a-1")];
    const ill: ObservedState = { status: "running", startedAt: 1, health: "unhealthy", restarts: 0 };
    const observed = desired.map((resource) => seen(resource, ill));
    expect(actions(planUp("p", desired, observed))).toEqual(["restart control-plane/1: not responding"]);
  });

  it("replaces what it cannot compare, for the key of its hashes is another one, and does not say that it changed", () => {
    const plan = (was: Record<string, string>, is: Record<string, string>) =>
      actions(planUp("p", [want("component/a-1", is)], [seen(want("component/a-1", was))]));
    const unknown = "secrets cannot be compared: the key of their hashes was lost";
    expect(plan({ secrets: "k1:a" }, { secrets: "k2:b" })).toEqual([`replace component/a-1: ${unknown}`]);
    expect(plan({ secrets: "k1:a", image: "1" }, { secrets: "k2:b", image: "2" })).toEqual([
      `replace component/a-1: image changed; ${unknown}`,
    ]);
    for (const was of [{ secrets: "k1:a" }, {}, { secrets: "a" }]) {
      expect(plan(was as Record<string, string>, { secrets: "k1:b" })).toEqual([
        "replace component/a-1: secrets changed",
      ]);
    }
  });

  it("creates everything that is missing, prerequisites first", () => {
    const network = want("network/default");
    const control = want("control-plane/1", {}, [{ key: "network/default", condition: "exists" }]);
    const sink = want("component/out-1", {}, [{ key: "control-plane/1", condition: "healthy" }]);
    expect(actions(planUp("p", [sink, control, network], []))).toEqual([
      "create network/default: new",
      "create control-plane/1: new",
      "create component/out-1: new",
    ]);
  });

  it("stops those who speak otherwise than the next control plane before that is replaced, from the sources down", () => {
    const after = [{ key: "control-plane/1", condition: "started" }] as const;
    const of = (identity: Record<string, string>) => [
      want("control-plane/1", identity),
      want("component/in-1", identity, after),
      want("component/out-1", identity, after),
      want("component/done-1", identity, after),
      want("service/db-1"),
    ];
    const observed = of({}).map((one) => seen(one, one.owner === "done" ? exited(0) : running));
    const depths = new Map([
      ["in", 0],
      ["out", 1],
    ]);
    const plan = planUp("p", of({ identity: "1" }), observed, { depths });
    expect(
      plan.steps.map(({ change, afterSteps }) => `${change.action} ${resourceOf(change).key} after [${afterSteps}]`),
    ).toEqual([
      "stop component/in-1 after []",
      "stop component/out-1 after [0]",
      "replace control-plane/1 after [0,1]",
      "replace component/done-1 after [2]",
      "replace component/in-1 after [2]",
      "replace component/out-1 after [2]",
    ]);
    // One that does not answer has nobody to hear them.
    const ill: ObservedState = { status: "running", startedAt: 1, health: "unhealthy", restarts: 0 };
    const hanging = observed.map((one) => (one.kind === "control-plane" ? { ...one, state: ill } : one));
    expect(actions(planUp("p", of({ identity: "1" }), hanging)).filter((text) => text.startsWith("stop"))).toEqual([]);
  });

  it("does nothing for what is as desired", () => {
    const sink = want("component/out-1", { image: "a" });
    const plan = planUp("p", [sink], [seen(sink)]);
    expect(plan.steps).toEqual([]);
    expect(plan.unchanged.map(({ key }) => key)).toEqual(["component/out-1"]);
  });

  it("replaces what changed and names the changed parts", () => {
    const old = want("component/out-1", { image: "a", with: "1", user: "x" });
    const fresh = want("component/out-1", { image: "b", with: "2", user: "x" });
    expect(actions(planUp("p", [fresh], [seen(old)]))).toEqual(["replace component/out-1: image, with changed"]);
  });

  it("leaves a completed component alone and says so", () => {
    const sink = want("component/out-1");
    const plan = planUp("p", [sink], [seen(sink, exited(0))]);
    expect(plan.steps).toEqual([]);
    expect(plan.notes).toEqual(["p-out-1 has completed"]);
  });

  it("starts a component that was stopped before it completed", () => {
    const sink = want("component/out-1");
    const plan = planUp("p", [sink], [seen(sink, exited(0))], { stopped: new Set(["component/out-1"] as const) });
    expect(actions(plan)).toEqual(["start component/out-1: was stopped"]);
  });

  it("runs a completed component again when forced to", () => {
    const sink = want("component/out-1");
    const plan = planUp("p", [sink], [seen(sink, exited(0))], { forceRecreate: true });
    expect(actions(plan)).toEqual(["replace component/out-1: forced"]);
  });

  it("starts again what exited in failure", () => {
    const sink = want("component/out-1");
    expect(actions(planUp("p", [sink], [seen(sink, exited(3))]))).toEqual([
      "start component/out-1: exited with code 3",
    ]);
  });

  it("starts a service that ended, unless something waits for it to complete", () => {
    const db = want("service/db-1");
    const migrate = want("service/migrate-1");
    const sink = want("component/out-1", {}, [{ key: "service/migrate-1", condition: "completed" }]);
    const observed = [seen(db, exited(0)), seen(migrate, exited(0)), seen(sink)];
    expect(actions(planUp("p", [db, migrate, sink], observed))).toEqual(["start service/db-1: was stopped"]);
  });

  it("replaces what was left half-made", () => {
    const sink = want("component/out-1");
    const unknown = { ...seen(sink), hash: "", parts: {} };
    expect(actions(planUp("p", [sink], [seen(sink, { status: "created" })]))).toEqual([
      "replace component/out-1: incomplete",
    ]);
    expect(actions(planUp("p", [sink], [unknown]))).toEqual(["replace component/out-1: incomplete"]);
  });

  it("removes what the file no longer names and tells it from scaling down", () => {
    const one = want("component/out-1");
    const observed = [seen(one), seen(want("component/out-2")), seen(want("component/gone-1"))];
    expect(actions(planUp("p", [one], observed))).toEqual([
      "remove component/out-2: scaled to 1",
      "remove component/gone-1: removed from the pipeline",
    ]);
  });

  it("keeps volumes, whether they changed or are no longer named", () => {
    const volume = want("volume/data", { driver: "local" });
    const changed = want("volume/data", { driver: "nfs" });
    const plan = planUp("p", [changed], [seen(volume), seen(want("volume/old"))]);
    expect(plan.steps).toEqual([]);
    expect(plan.notes).toEqual(["p-data-0 differs from the file (driver); kept because it holds data"]);
  });

  it("takes what is on a network along when the network has to be replaced", () => {
    const network = want("network/default", { internal: "yes" });
    const sink = want("component/out-1", {}, [{ key: "network/default", condition: "exists" }]);
    const plan = planUp("p", [network, sink], [seen(want("network/default", { internal: "no" })), seen(sink)]);
    expect(actions(plan)).toEqual([
      "remove component/out-1: network replaced",
      "replace network/default: internal changed",
      "create component/out-1: network replaced",
    ]);
    expect(plan.steps.map(({ afterSteps }) => afterSteps)).toEqual([[], [0], [0, 1]]);
  });

  it("frees the published ports of what leaves before a newcomer starts", () => {
    const leaving = seen(want("component/old-1"), running, ["127.0.0.1:80->80/tcp"]);
    const waits = (hostPorts: readonly string[]) =>
      planUp("p", [{ ...want("component/new-1"), hostPorts }], [leaving]).steps.map(({ afterSteps }) => afterSteps);
    expect(waits(["127.0.0.1:80/tcp"])).toEqual([[], [0]]);
    // Whoever wants another one does not wait: what leaves may need it.
    expect([waits(["127.0.0.1:81/tcp"]), waits(["127.0.0.1:80/udp"]), waits([])]).toEqual(Array(3).fill([[], []]));
  });

  it("restarts what wants to be restarted with a service that is replaced, and nothing else", () => {
    const needs = [{ key: "service/db-1", condition: "healthy" }] as const;
    const desired = [
      want("service/db-1", { image: "new" }),
      want("component/a-1", {}, needs),
      want("component/b-1", {}, needs),
    ];
    const observed = [
      seen(want("service/db-1", { image: "old" })),
      ...desired.slice(1).map((resource) => seen(resource)),
    ];
    const plan = planUp("p", desired, observed, { restartWith: new Map([["a", ["db"]]]) });
    expect(actions(plan)).toEqual(["replace service/db-1: image changed", "restart component/a-1: db restarts"]);
    expect(plan.steps[1]).toMatchObject({ after: needs, afterSteps: [0] });
  });

  it("touches only what is asked for and what that needs", () => {
    const control = want("control-plane/1", { image: "new" });
    const a = want("component/a-1", { with: "new" }, [{ key: "control-plane/1", condition: "healthy" }]);
    const a2 = want("component/a-2", { with: "new" }, [{ key: "control-plane/1", condition: "healthy" }]);
    const b = want("component/b-1", { with: "new" });
    const observed = [
      seen(want("control-plane/1", { image: "old" })),
      seen(want("component/a-1", { with: "new" })),
      seen(want("component/b-1", { with: "old" })),
      seen(want("component/gone-1")),
    ];
    expect(actions(planUp("p", [control, a, a2, b], observed, { only: new Set(["a"]) }))).toEqual([
      "create component/a-2: new",
    ]);
  });
});

describe("a plan that was carried out", () => {
  const state = fc.constantFrom<ObservedState>(
    running,
    exited(0),
    exited(1),
    { status: "created" },
    { status: "paused" },
  );
  const component = fc.record({
    id: fc.constantFrom("a", "b", "c", "d"),
    index: fc.integer({ min: 1, max: 3 }),
    image: fc.constantFrom("x", "y"),
  });
  const network: Prerequisite = { key: "network/default", condition: "exists" };
  const world = fc.array(component, { maxLength: 8 }).chain((items) =>
    fc.record({
      network: fc.constantFrom("n1", "n2"),
      resources: fc.constant([
        ...new Map(
          items.map(({ id, index, image }) => [
            `${id}-${index}`,
            want(`component/${id}-${index}`, { image }, [network]),
          ]),
        ).values(),
      ]),
    }),
  );

  it("leaves nothing to do, whatever was there before", async () => {
    await fc.assert(
      fc.asyncProperty(
        world,
        world,
        fc.array(state, { minLength: 12, maxLength: 12 }),
        async (wanted, before, states) => {
          const driver = new MemoryDriver();
          const old = [want("network/default", { net: before.network }), ...before.resources].map((resource, i) => [
            resource.key,
            seen(resource, resource.kind === "network" ? running : states[i % 12]),
          ]) as [ResourceKey, ObservedResource][];
          driver.state.set("p", new Map(old));
          const desired = [want("network/default", { net: wanted.network }), ...wanted.resources];
          const run = { driver, clock: systemClock, signal: new AbortController().signal, progress: () => undefined };
          const plan = planUp("p", desired, await driver.observe("p"));
          await executePlan(plan, run);
          expect(planUp("p", desired, await driver.observe("p")).steps).toEqual([]);
          expect(new Set((await driver.observe("p")).map(({ key }) => key))).toEqual(
            new Set(desired.map(({ key }) => key)),
          );
          await executePlan(planDown("p", await driver.observe("p")), run);
          expect(await driver.observe("p")).toEqual([]);
        },
      ),
      { numRuns: 200 },
    );
  });

  it("orders every step after those it depends on", () => {
    void fc.assert(
      fc.property(world, world, (wanted, before) => {
        const desired = [want("network/default", { net: wanted.network }), ...wanted.resources];
        const observed = [want("network/default", { net: before.network }), ...before.resources].map((r) => seen(r));
        planUp("p", desired, observed).steps.forEach(({ afterSteps }, index) => {
          expect(afterSteps.every((other) => other < index)).toBe(true);
        });
      }),
    );
  });
});
