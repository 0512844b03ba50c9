import fc from "fast-check";
import { afterAll, describe, it } from "vitest";
import { ReceivingWorld } from "./receiving-world.fake.ts";
import type { Break, Lie } from "./scripted-upstream.fake.ts";

const RUNS = Number(process.env.FLOWCTL_PROPERTY_RUNS ?? 30);

/** Which upstream: 0 and 1 are instances of one component, 2 is another. */
const u = fc.nat(2);
const some = fc.integer({ min: 1, max: 9 });
const breaks = fc.constantFrom<Break>("error", "end", "destroy");
const lies = fc.constantFrom<Lie>("garbage", "gap", "repetition", "torn batch", "batch before opened");

const step = fc.oneof(
  { weight: 8, arbitrary: fc.record({ do: fc.constant("send" as const), u, count: some, filling: fc.nat(300) }) },
  { weight: 4, arbitrary: fc.record({ do: fc.constant("take" as const), batches: fc.integer({ min: 1, max: 3 }) }) },
  { weight: 6, arbitrary: fc.record({ do: fc.constant("settle" as const), pick: fc.nat(), count: some }) },
  { weight: 1, arbitrary: fc.record({ do: fc.constant("settle all" as const) }) },
  { weight: 1, arbitrary: fc.record({ do: fc.constant("hold" as const), pick: fc.nat() }) },
  { weight: 2, arbitrary: fc.record({ do: fc.constant("break" as const), u, how: breaks, toSibling: fc.nat(3) }) },
  { weight: 1, arbitrary: fc.record({ do: fc.constant("lie" as const), u, what: lies }) },
  { weight: 1, arbitrary: fc.record({ do: fc.constant("away" as const), u, abruptly: fc.boolean() }) },
  { weight: 1, arbitrary: fc.record({ do: fc.constant("back" as const), u }) },
  { weight: 1, arbitrary: fc.record({ do: fc.constant("move" as const), u }) },
  { weight: 1, arbitrary: fc.record({ do: fc.constant("remove" as const), u }) },
  { weight: 1, arbitrary: fc.record({ do: fc.constant("add" as const), u }) },
  { weight: 1, arbitrary: fc.record({ do: fc.constant("complete" as const), u, byTopology: fc.boolean() }) },
);

/** Most steps leave the network the time to do something of what was said, some to do it all. */
const pause = fc.oneof(
  { weight: 3, arbitrary: fc.constant("none" as const) },
  { weight: 4, arbitrary: fc.constant("turns" as const) },
  { weight: 3, arbitrary: fc.constant("quiet" as const) },
);
const steps = fc.array(fc.tuple(step, pause), { maxLength: 50, size: "max" });

type Step = typeof step extends fc.Arbitrary<infer Action> ? Action : never;

/**
 * The model: what each upstream has sent and the receiver has not said to be done. Under any interleaving of what upstreams,
 * the topology and whoever works on the events do, checked with every message that a real server gets from the receiver:
 * an acknowledgement covers only what is done, moves forward, and stays within what was sent on its stream; credit stays
 * within what is acknowledged and the window. Checked with every event that is taken: nobody works on it already.
 */
describe("an inlet under any interleaving", () => {
  const worlds: ReceivingWorld[] = [];

  afterAll(async () => {
    for (const world of worlds) await world.dispose();
  });

  async function play(
    script: readonly (readonly [Step, "none" | "turns" | "quiet"])[],
    ending: (world: ReceivingWorld) => Promise<void>,
  ): Promise<void> {
    const world = await ReceivingWorld.start();
    worlds.push(world);
    try {
      for (const [action, rest] of script) {
        await carryOut(world, action);
        if (rest === "turns") for (let i = 0; i < 5; i++) await new Promise((resolve) => setImmediate(resolve));
        if (rest === "quiet") await world.quiet();
        world.check();
      }
      await ending(world);
      world.check();
    } finally {
      worlds.pop();
      await world.dispose();
    }
  }

  it("works on every event once, acknowledges all that is done in the end, and finishes with its upstreams", {
    timeout: RUNS * 5_000,
  }, async () => {
    await fc.assert(
      fc.asyncProperty(steps, async (script) => {
        await play(script, (world) => world.finish());
      }),
      { numRuns: RUNS, endOnFailure: true },
    );
  });

  it("leaves exactly what is not done to be sent again when it is closed", { timeout: RUNS * 5_000 }, async () => {
    await fc.assert(
      fc.asyncProperty(steps, fc.nat(), fc.nat(20), async (script, pick, count) => {
        await play(script, (world) => world.close(pick, count));
      }),
      { numRuns: Math.ceil(RUNS / 2), endOnFailure: true },
    );
  });
});

async function carryOut(world: ReceivingWorld, action: Step): Promise<void> {
  switch (action.do) {
    case "send":
      return world.send(action.u, action.count, action.filling);
    case "take":
      return world.take(action.batches);
    case "settle":
      return world.settle(action.pick, action.count);
    case "settle all":
      return world.settleAll();
    case "hold":
      return world.hold(action.pick);
    case "break":
      return world.break(action.u, action.how, action.toSibling);
    case "lie":
      return world.lie(action.u, action.what);
    case "away":
      return await world.away(action.u, action.abruptly);
    case "back":
      return await world.back(action.u);
    case "move":
      return await world.move(action.u);
    case "remove":
      return world.remove(action.u);
    case "add":
      return world.add(action.u);
    case "complete":
      return await world.complete(action.u, action.byTopology);
  }
}
