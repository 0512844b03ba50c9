import { beforeEach, describe, expect, it } from "vitest";
import { type FakeClock, fakeClock } from "../../foundation/clock.fake.ts";
import { noMetrics } from "../../protocol/component-codec.ts";
import type { IncarnationReference, RegistrationRequest } from "../../protocol/registry-codec.ts";
import { Checkpoints } from "../checkpoints.ts";
import { componentSpec, incarnation, registration } from "../pipeline.fake.ts";
import { Kept } from "../registry.fake.ts";
import type { Registry } from "../registry.ts";
import { StateWriter } from "../state-writer.ts";
import { createMemoryStore } from "../store/memory-store.ts";
import { PartitionTable } from "./partition-table.ts";

const pair = [
  { id: "a", identity: "1" },
  { id: "b", identity: "1" },
];

let clock: FakeClock;
let registry: Registry;
let table: PartitionTable;
/** Lets what waits for the disk go on. */
let disk: (() => void)[];
let isHeld: boolean;

beforeEach(() => {
  clock = fakeClock(1_000);
  disk = [];
  isHeld = false;
  const store = {
    ...createMemoryStore(),
    write: async () => {
      if (isHeld) await new Promise<void>((resolve) => disk.push(resolve));
    },
  };
  const writer = new StateWriter(store, () => undefined);
  registry = new Kept(clock).open();
  const checkpoints = new Checkpoints(writer, new Map());
  const kept = { partitions: [], sources: [] };
  table = new PartitionTable({ registry, checkpoints, writer, clock, goneAfterMs: 30_000, kept });
});

function apply(replicas: number): void {
  const components = [componentSpec({ id: "source", type: "source", replicas })];
  registry.apply({ name: "p", driver: "process", components });
  table.refreshAll();
}

async function register(who: IncarnationReference, given: Partial<RegistrationRequest> = {}): Promise<void> {
  const request = registration(who, given);
  table.admit(request);
  const before = registry.entry(who.componentId, who.instanceId)?.data.incarnation;
  registry.register(request);
  table.registered(request, before !== who.incarnation);
  if (!isHeld) await table.settled(who.componentId);
}

const reads = (who: IncarnationReference) =>
  table.viewOf(who).assignments.map(({ partition, revoked }) => (revoked ? `${partition} revoked` : partition));
const save = (
  who: IncarnationReference,
  partition: string,
  state: "reading" | "released" | "finished",
  position = "x",
) => {
  const epoch = table.viewOf(who).assignments.find((one) => one.partition === partition)?.epoch ?? 99;
  return table.save(who, { partition, identity: "1", epoch, state, position: Buffer.from(position) });
};
const bye = (who: IncarnationReference, reason: "completed" | "stopped") => {
  registry.deregister({ ...who, reason, message: "", metrics: noMetrics });
  if (reason === "completed") table.completed(who);
  else table.refreshAll();
};

describe("who reads what", () => {
  const [one, two] = [incarnation("source", 1), incarnation("source", 2)];

  it("moves with the scale: taken, given back with its position, and only then given on", async () => {
    apply(1);
    await register(one, { partitions: pair });
    expect(reads(one)).toEqual(["a", "b"]);
    apply(2);
    expect(reads(one), "as long as nobody is there to go on").toEqual(["a", "b"]);
    await register(two, { partitions: pair });
    expect([reads(one), reads(two)]).toEqual([["a", "b revoked"], []]);
    await save(one, "b", "released", "17");
    await table.settled("source");
    expect([reads(one), reads(two)]).toEqual([["a"], ["b"]]);
    expect(String(table.viewOf(two).assignments[0]?.position)).toBe("17");
    await expect(save(one, "b", "reading")).rejects.toMatchObject({ code: "registry/not-owner", kind: "conflict" });
  });

  it("is told to nobody before it is on the disk", async () => {
    apply(1);
    isHeld = true;
    await register(one, { partitions: pair });
    expect(reads(one)).toEqual([]);
    await expect(save(one, "a", "reading")).rejects.toMatchObject({ code: "registry/not-owner" });
    await Promise.resolve();
    for (const resolve of disk) resolve();
    await table.settled("source");
    expect(reads(one)).toEqual(["a", "b"]);
  });

  it("is told as something new to a program that gave it back before, also where it was forgotten in between", async () => {
    const changed = pair.map(({ id }) => ({ id, identity: "2" }));
    const epochOf = (who: IncarnationReference, partition: string) =>
      table.viewOf(who).assignments.find((given) => given.partition === partition && given.identity === "2")?.epoch;
    apply(2);
    await register(one, { partitions: changed });
    const before = epochOf(one, "a")!;
    expect(before).toBeGreaterThan(0);
    // The other instance is still the program of before, and was started again.
    await register(two, { partitions: pair });
    expect(reads(one)).toContain("a revoked");
    const release = { partition: "a", identity: "2", epoch: before, state: "released" } as const;
    await table.save(one, release);
    await table.settled("source");
    expect(epochOf(one, "a")).toBeUndefined();
    await clock.advance(1);
    bye(two, "stopped");
    await register(incarnation("source", 2, "2"), { partitions: changed });
    bye(incarnation("source", 2, "2"), "stopped");
    apply(1);
    await table.settled("source");
    expect(epochOf(one, "a")).toBeGreaterThan(before);
  });

  it("does not hear what was said under an earlier assignment", async () => {
    apply(1);
    await register(one, { partitions: pair });
    const late = { partition: "a", identity: "1", epoch: 0.5, state: "reading", position: Buffer.from("1") } as const;
    await expect(table.save(one, late)).rejects.toMatchObject({ code: "registry/not-owner" });
  });

  it("begins anew under another identity, and goes on under one that it knows", async () => {
    apply(1);
    await register(one, { partitions: [{ id: "a", identity: "1" }] });
    await save(one, "a", "reading", "17");
    const next = incarnation("source", 1, "2");
    await register(next, { partitions: [{ id: "a", identity: "2" }] });
    const seen = table
      .viewOf(next)
      .assignments.map(({ identity, position, revoked }) => ({ identity, position, revoked }));
    expect(seen).toContainEqual({ identity: "2", position: undefined, revoked: false });
    const again = incarnation("source", 1, "3");
    await register(again, { partitions: [{ id: "a", identity: "1" }] });
    await table.settled("source");
    const back = table.viewOf(again).assignments.find(({ identity }) => identity === "1");
    expect(String(back?.position)).toBe("17");
  });

  it("ends for everybody when all is finished, those that stand by included, and is read once more in the next run", async () => {
    apply(2);
    await register(one, { partitions: [pair[0]!] });
    await register(two, { partitions: [pair[0]!] });
    expect([reads(one), reads(two)]).toEqual([["a"], []]);
    expect(table.viewOf(two).partitionsFinished).toBe(false);
    await save(one, "a", "finished", "end");
    expect([one, two].map((who) => table.viewOf(who).partitionsFinished)).toEqual([true, true]);
    bye(one, "completed");
    bye(two, "completed");
    const next = incarnation("source", 1, "2");
    await register(next, { partitions: [pair[0]!] });
    expect(table.viewOf(next)).toMatchObject({ partitionsFinished: false, assignments: [{ partition: "a" }] });
    expect(String(table.viewOf(next).assignments[0]?.position)).toBe("end");
  });

  it("goes on elsewhere when an instance leaves the pipeline, which completes with data left", async () => {
    apply(2);
    await register(one, { partitions: pair });
    await register(two, { partitions: pair });
    await save(two, "b", "reading", "17");
    apply(1);
    bye(two, "completed");
    await table.settled("source");
    expect(reads(one)).toEqual(["a", "b"]);
    expect(String(table.viewOf(one).assignments[1]?.position)).toBe("17");
    expect(table.viewOf(one).partitionsFinished).toBe(false);
  });

  it("lets one instance at a time register that knows nothing of partitions", async () => {
    apply(2);
    await expect(register(two)).rejects.toMatchObject({ code: "registry/stands-by", kind: "unavailable" });
    await register(one);
    await table.save(one, { partition: "", identity: "", epoch: 0, state: "reading", position: Buffer.from("9") });
    await expect(register(two)).rejects.toMatchObject({ code: "registry/stands-by" });
    bye(one, "completed");
    await register(two);
    expect(String(table.wholePosition("source"))).toBe("9");
  });

  it("is learned from who reads when the control plane has lost its memory", async () => {
    apply(2);
    const held = [{ partition: "a", identity: "1", epoch: 7, revoked: false }];
    await register(two, { partitions: pair, held });
    await register(one, { partitions: pair, held: [{ ...held[0]!, partition: "b" }] });
    expect([reads(one), reads(two)]).toEqual([["b"], ["a"]]);
    await save(two, "a", "reading");
  });

  it("goes to others when an instance is not wanted any more and nothing is heard of it", async () => {
    apply(2);
    await register(one, { partitions: pair });
    await register(two, { partitions: pair });
    apply(1);
    table.refreshAll();
    expect([reads(one), reads(two)]).toEqual([["a"], ["b revoked"]]);
    await clock.advance(30_001);
    table.refreshAll();
    await table.settled("source");
    expect(reads(one)).toEqual(["a", "b"]);
  });

  it.each([
    [
      [
        { id: "a", identity: "1" },
        { id: "a", identity: "2" },
      ],
    ],
    [[{ id: "a".repeat(5_000), identity: "" }]],
    [Array.from({ length: 4_097 }, (_, index) => ({ id: String(index), identity: "" }))],
  ])("is refused where partitions cannot be kept apart, or are too many (%#)", async (partitions) => {
    apply(1);
    await expect(register(one, { partitions })).rejects.toMatchObject({ code: "registry/invalid-partitions" });
  });
});
