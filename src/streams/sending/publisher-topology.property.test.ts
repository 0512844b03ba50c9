import fc from "fast-check";
import { describe, expect, it } from "vitest";
import type { BufferSpec, Downstream } from "../../protocol/records.ts";
import type { Limits } from "../limits.ts";
import { Publisher } from "./publisher.ts";
import { event, group, inRuns, Peer } from "./publisher-world.fake.ts";

const RUNS = Number(process.env.FLOWCTL_PROPERTY_RUNS ?? 300);
const IDS = ["a", "b", "c"] as const;
const LIMITS = { maxEvents: 6, maxBytes: 400 };

/** What the topology can say of a group, and change. */
interface Kind {
  readonly types: readonly string[];
  readonly deadLetters: "none" | "only" | "too";
  readonly buffer: BufferSpec | undefined;
  readonly partitionBy: string;
  readonly draining: boolean;
}

const buffer: fc.Arbitrary<BufferSpec | undefined> = fc.option(
  fc.record({
    type: fc.constant("memory" as const),
    maxEvents: fc.integer({ min: 1, max: 9 }),
    maxBytes: fc.constantFrom(0, 150, 600),
    whenFull: fc.constantFrom("block" as const, "block" as const, "drop_newest" as const, "drop_oldest" as const),
  }),
  { nil: undefined },
);
const kind: fc.Arbitrary<Kind> = fc.record({
  types: fc.constantFrom<string[]>([], [], ["odd"]),
  deadLetters: fc.constantFrom("none" as const, "none" as const, "none" as const, "only" as const, "too" as const),
  buffer,
  partitionBy: fc.constantFrom("", "", "type", "id"),
  draining: fc.constantFrom(false, false, false, true),
});
const g = fc.nat(IDS.length - 1);
const step = fc.oneof(
  {
    weight: 8,
    arbitrary: fc.record({
      do: fc.constant("publish" as const),
      count: fc.integer({ min: 1, max: 5 }),
      filling: fc.nat(60),
    }),
  },
  { weight: 1, arbitrary: fc.record({ do: fc.constant("dead letter" as const) }) },
  { weight: 3, arbitrary: fc.record({ do: fc.constant("turn" as const) }) },
  { weight: 2, arbitrary: fc.record({ do: fc.constant("connect" as const), g, credit: fc.nat(12) }) },
  { weight: 5, arbitrary: fc.record({ do: fc.constant("ack" as const), g, count: fc.integer({ min: 1, max: 6 }) }) },
  { weight: 2, arbitrary: fc.record({ do: fc.constant("grant" as const), g, more: fc.integer({ min: 1, max: 8 }) }) },
  { weight: 3, arbitrary: fc.record({ do: fc.constant("nack" as const), g, which: fc.nat(5) }) },
  { weight: 2, arbitrary: fc.record({ do: fc.constant("timers" as const) }) },
  { weight: 1, arbitrary: fc.record({ do: fc.constant("leave" as const), g }) },
  { weight: 2, arbitrary: fc.record({ do: fc.constant("define" as const), g, kind }) },
  { weight: 1, arbitrary: fc.record({ do: fc.constant("remove" as const), g }) },
  { weight: 1, arbitrary: fc.record({ do: fc.constant("allowance" as const), events: fc.nat(4), bytes: fc.nat(200) }) },
  { weight: 3, arbitrary: fc.record({ do: fc.constant("ask" as const) }) },
);
type Step = typeof step extends fc.Arbitrary<infer T> ? T : never;

interface Item {
  readonly size: number;
  /** Which of the group's queues it is in: a buffer that begins to block makes another one. */
  queue: number;
  /** Whether it counts in the component's log. */
  holds: boolean;
  /** Whether it was never sent, and may be dropped. */
  fresh: boolean;
}

/** What a group was given and has not acknowledged, as the model has it. */
class Owed {
  kind: Kind;
  /** By number. */
  readonly events = new Map<number, Item>();
  peer: Peer | undefined;
  dropped = 0;
  private queue = 0;
  /** How much of what the peer got was looked at. */
  private seen = 0;
  /** Sequence numbers that the peer has refused. */
  private refused = new Set<number>();

  constructor(kind: Kind) {
    this.kind = kind;
  }

  get policy(): BufferSpec["whenFull"] {
    return this.kind.buffer?.whenFull ?? "block";
  }

  redefine(kind: Kind): void {
    const before = this.policy;
    this.kind = kind;
    if (this.policy === "block" && before !== "block") this.queue++;
    if (this.policy !== "block") for (const item of this.events.values()) item.holds = false;
  }

  isFull(usual: Limits): boolean {
    const { maxEvents, maxBytes } = this.kind.buffer ?? usual;
    const items = [...this.events.values()].filter(({ holds, queue }) =>
      this.policy === "block" ? holds : queue === this.queue,
    );
    const bytes = items.reduce((sum, { size }) => sum + size, 0);
    const isUnlimited = this.kind.buffer !== undefined && maxBytes === 0;
    return items.length >= maxEvents || (!isUnlimited && bytes >= maxBytes);
  }

  give(n: number, size: number, usual: Limits): void {
    while (this.policy === "drop_oldest" && this.isFull(usual)) {
      const oldest = [...this.events].find(([, { fresh, queue }]) => fresh && queue === this.queue);
      if (oldest === undefined) break;
      this.events.delete(oldest[0]);
      this.dropped++;
    }
    if (this.policy !== "block" && this.isFull(usual)) this.dropped++;
    else this.events.set(n, { size, queue: this.queue, holds: this.policy === "block", fresh: true });
  }

  connected(peer: Peer | undefined): void {
    this.peer = peer;
    this.seen = 0;
    this.refused = new Set();
  }

  /** Sees what was sent. Nothing may be sent that is not owed, and nothing that is on its way already. */
  look(): void {
    const got = this.peer?.got ?? [];
    for (; this.seen < got.length; this.seen++) {
      const n = numberOf(got[this.seen]!.event.id);
      const item = this.events.get(n);
      expect(item).toBeDefined();
      expect(this.inFlight(this.seen)).not.toContain(n);
      item!.fresh = false;
    }
  }

  /** What the peer has got of the first `count`, and neither acknowledged nor refused. */
  inFlight(count = this.peer?.got.length ?? 0): number[] {
    const { peer } = this;
    if (peer === undefined) return [];
    const open = peer.got.slice(peer.acked, count).filter(({ sequence }) => !this.refused.has(sequence));
    return open.map(({ event: view }) => numberOf(view.id));
  }

  acknowledge(count: number): void {
    const { peer } = this;
    if (peer === undefined) return;
    this.look();
    const to = Math.min(peer.got.length, peer.acked + count);
    for (const { sequence, event: view } of peer.got.slice(peer.acked, to))
      if (!this.refused.has(sequence)) this.events.delete(numberOf(view.id));
    peer.acked = to;
    peer.member!.ack(to);
  }

  nack(which: number): void {
    const { peer } = this;
    if (peer === undefined || peer.got.length === peer.acked) return;
    this.look();
    const sequence = peer.acked + 1 + (which % (peer.got.length - peer.acked));
    this.refused.add(sequence);
    peer.member!.nack(sequence);
  }
}

/**
 * The model: for each group what it was given and has not acknowledged. However the topology changes: there is room exactly as
 * long as no group that blocks is full, whoever waits for room is told, each event is settled once and at the moment when
 * no group that blocks owes an acknowledgement of it, what waits and what was dropped is counted exactly, members of a group
 * that drains are told the end when it is owed nothing and no sooner, and in the end everything is acknowledged.
 */
describe("a publisher whose topology changes", () => {
  it("has room when no group that blocks is full, tells whoever waits, and settles each event once", async () => {
    await fc.assert(
      fc.asyncProperty(fc.array(step, { minLength: 1, maxLength: 80, size: "max" }), async (steps) => {
        const deferred: (() => void)[] = [];
        const timers = new Set<() => void>();
        const publisher = new Publisher({
          ...LIMITS,
          defer: (action) => deferred.push(action),
          schedule: (_ms, action) => {
            timers.add(action);
            return () => timers.delete(action);
          },
        });
        let droppedBefore = 0;
        const groups = new Map<string, Owed>();
        const settled: number[] = [];
        const settle = (n: number): void => void settled.push(n);
        const receipts = [{ settle }, inRuns(settle)];
        let usual: Limits = LIMITS;
        let published = 0;
        let waits = false;
        const hasRoom = (): boolean =>
          [...groups.values()].every((owed) => owed.policy !== "block" || !owed.isFull(usual));
        const define = (): void =>
          publisher.setGroups([...groups].flatMap(([id, owed]) => definitionsOf(id, owed.kind)));
        const ask = (): void => {
          const room = publisher.room();
          expect(room === undefined).toBe(hasRoom());
          waits = room !== undefined;
          void room?.then(() => {
            waits = false;
          });
        };
        const publish = (dead: boolean, filling = 0): void => {
          const n = published++;
          const isOdd = n % 2 === 1;
          const view = event(n, "x".repeat(filling), isOdd ? "odd" : "even");
          for (const owed of groups.values()) if (wants(owed.kind, dead, isOdd)) owed.give(n, view.size, usual);
          publisher.publish(view, receipts[n % 7 === 0 ? 0 : 1]!, n, dead);
        };
        const connect = (id: string, owed: Owed, credit: number): void => {
          const peer = new Peer();
          peer.creditSequence = credit;
          owed.connected(peer);
          peer.member = publisher.attach(id, `${id}-1`, peer, { maxSequence: credit, maxBytes: 1e9 });
        };
        const turn = (): void => {
          for (const action of deferred.splice(0)) action();
        };
        const fireTimers = (): void => {
          const due = [...timers];
          timers.clear();
          for (const action of due) action();
        };
        const carryOut = (action: Step): void => {
          const id = "g" in action ? IDS[action.g]! : "";
          const owed = groups.get(id);
          if (action.do === "publish") for (let i = 0; i < action.count; i++) publish(false, action.filling);
          else if (action.do === "dead letter") publish(true);
          else if (action.do === "turn") turn();
          else if (action.do === "ask") ask();
          else if (action.do === "allowance") {
            usual = { maxEvents: LIMITS.maxEvents + action.events, maxBytes: LIMITS.maxBytes + action.bytes };
            publisher.setInFlightAllowance(action);
          } else if (action.do === "define") {
            if (owed === undefined) groups.set(id, new Owed(action.kind));
            else owed.redefine(action.kind);
            define();
          } else if (action.do === "timers") fireTimers();
          else if (owed === undefined) return;
          else if (action.do === "connect") connect(id, owed, action.credit);
          else if (action.do === "ack") owed.acknowledge(action.count);
          else if (action.do === "nack") owed.nack(action.which);
          else if (action.do === "remove") {
            droppedBefore += owed.dropped;
            groups.delete(id);
            define();
          } else if (owed.peer === undefined) return;
          else if (action.do === "leave") {
            const { member } = owed.peer;
            owed.connected(undefined);
            publisher.detach(id, member!);
          } else {
            owed.peer.creditSequence += action.more;
            owed.peer.member!.grant({ maxSequence: owed.peer.creditSequence, maxBytes: 1e9 });
          }
        };
        const check = async (): Promise<void> => {
          await Promise.resolve();
          for (const owed of groups.values()) owed.look();
          expect(waits && hasRoom()).toBe(false);
          const { waiting, dropped } = publisher.counters();
          for (const [id, owed] of groups) {
            expect(waiting[id]).toBe(owed.events.size - owed.inFlight().length);
            const { peer } = owed;
            if (peer === undefined) continue;
            expect(peer.ended).toBe(owed.kind.draining && owed.events.size === 0 ? peer.got.length : undefined);
            if (peer.ended === undefined) continue;
            owed.connected(undefined);
            publisher.detach(id, peer.member!);
          }
          expect(dropped).toBe([...groups.values()].reduce((sum, owed) => sum + owed.dropped, droppedBefore));
          const open = new Set(
            [...groups.values()].flatMap(({ events }) => [...events].filter(([, { holds }]) => holds).map(([n]) => n)),
          );
          expect([...settled].sort((a, b) => a - b)).toEqual(upTo(published).filter((n) => !open.has(n)));
        };
        for (const action of steps) {
          carryOut(action);
          await check();
        }
        for (const [id, owed] of groups) connect(id, owed, 1e6);
        for (let round = 0; round < 3; round++) {
          turn();
          fireTimers();
          for (const owed of groups.values()) owed.acknowledge(1e6);
          await check();
        }
        await publisher.drained();
        expect(settled.length).toBe(published);
        // Nothing of it is left in anybody's account.
        for (let i = 0; i < 30; i++) {
          ask();
          publish(false);
        }
      }),
      { numRuns: RUNS },
    );
  });
});

function wants({ types, deadLetters, draining }: Kind, isDead: boolean, isOdd: boolean): boolean {
  if (draining) return false;
  if (isDead) return deadLetters !== "none";
  return deadLetters !== "only" && (types.length === 0 || isOdd);
}

function definitionsOf(id: string, { types, deadLetters, buffer: own, partitionBy, draining }: Kind): Downstream[] {
  const more = {
    partitionBy,
    ...(draining ? { draining: true as const } : {}),
    ...(own === undefined ? {} : { buffer: own }),
  };
  const usual = group(id, { types: [...types], ...more });
  const letters = group(id, { deadLetters: true, ...more });
  return deadLetters === "none" ? [usual] : deadLetters === "only" ? [letters] : [usual, letters];
}

function numberOf(id: string): number {
  return Number(id.slice(2));
}

function upTo(count: number): number[] {
  return Array.from({ length: count }, (_, n) => n);
}
