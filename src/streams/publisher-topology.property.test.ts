import fc from "fast-check";
import { describe, expect, it } from "vitest";
import type { BufferSpec, Downstream } from "../protocol/records.ts";
import type { Limits } from "./group-budget.ts";
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
  { weight: 1, arbitrary: fc.record({ do: fc.constant("leave" as const), g }) },
  { weight: 2, arbitrary: fc.record({ do: fc.constant("define" as const), g, kind }) },
  { weight: 1, arbitrary: fc.record({ do: fc.constant("remove" as const), g }) },
  { weight: 1, arbitrary: fc.record({ do: fc.constant("slack" as const), events: fc.nat(4), bytes: fc.nat(200) }) },
  { weight: 3, arbitrary: fc.record({ do: fc.constant("ask" as const) }) },
);
type Step = typeof step extends fc.Arbitrary<infer T> ? T : never;

/** What a group was given and has not acknowledged, as the model has it. */
class Owed {
  kind: Kind;
  /** Size of each event by its number. */
  readonly events = new Map<number, number>();
  /** Those among them that were never sent, and may be dropped. */
  readonly fresh = new Set<number>();
  peer: Peer | undefined;
  /** How much of what the peer got was looked at. */
  private seen = 0;

  constructor(kind: Kind) {
    this.kind = kind;
  }

  get policy(): BufferSpec["whenFull"] {
    return this.kind.buffer?.whenFull ?? "block";
  }

  isFull(usual: Limits): boolean {
    const { maxEvents, maxBytes } = this.kind.buffer ?? usual;
    let bytes = 0;
    for (const size of this.events.values()) bytes += size;
    const isUnlimited = this.kind.buffer !== undefined && maxBytes === 0;
    return this.events.size >= maxEvents || (!isUnlimited && bytes >= maxBytes);
  }

  give(n: number, size: number, usual: Limits): void {
    if (this.policy === "drop_oldest" && this.isFull(usual)) {
      const [oldest] = this.fresh;
      if (oldest !== undefined) {
        this.fresh.delete(oldest);
        this.events.delete(oldest);
      }
    }
    if (this.policy !== "block" && this.isFull(usual)) return;
    this.events.set(n, size);
    this.fresh.add(n);
  }

  connected(peer: Peer | undefined): void {
    this.peer = peer;
    this.seen = 0;
  }

  /** Sees what was sent. Nothing may be sent that is not owed. */
  look(): void {
    const got = this.peer?.got ?? [];
    for (; this.seen < got.length; this.seen++) {
      const n = numberOf(got[this.seen]!.event.id);
      expect(this.events.has(n)).toBe(true);
      this.fresh.delete(n);
    }
  }

  acknowledge(count: number): void {
    const { peer } = this;
    if (peer === undefined) return;
    this.look();
    const to = Math.min(peer.got.length, peer.acked + count);
    for (const { event: view } of peer.got.slice(peer.acked, to)) this.events.delete(numberOf(view.id));
    peer.acked = to;
    peer.member!.ack(to);
  }
}

/**
 * The model: for each group what it was given and has not acknowledged. However the topology changes: there is room exactly as
 * long as no group that blocks is full, whoever waits for room is told, each event is settled once and at the moment when
 * nobody owes an acknowledgement of it, and in the end all are.
 */
describe("a publisher whose topology changes", () => {
  it("has room when no group that blocks is full, tells whoever waits, and settles each event once", async () => {
    await fc.assert(
      fc.asyncProperty(fc.array(step, { minLength: 1, maxLength: 80, size: "max" }), async (steps) => {
        const deferred: (() => void)[] = [];
        const publisher = new Publisher({ ...LIMITS, defer: (action) => deferred.push(action) });
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
        const carryOut = (action: Step): void => {
          const id = "g" in action ? IDS[action.g]! : "";
          const owed = groups.get(id);
          if (action.do === "publish") for (let i = 0; i < action.count; i++) publish(false, action.filling);
          else if (action.do === "dead letter") publish(true);
          else if (action.do === "turn") turn();
          else if (action.do === "ask") ask();
          else if (action.do === "slack") {
            usual = { maxEvents: LIMITS.maxEvents + action.events, maxBytes: LIMITS.maxBytes + action.bytes };
            publisher.setSlack(action);
          } else if (action.do === "define") {
            if (owed === undefined) groups.set(id, new Owed(action.kind));
            else if (JSON.stringify(owed.kind) !== JSON.stringify(action.kind)) {
              owed.kind = action.kind;
              owed.fresh.clear();
            }
            define();
          } else if (owed === undefined) return;
          else if (action.do === "connect") connect(id, owed, action.credit);
          else if (action.do === "ack") owed.acknowledge(action.count);
          else if (action.do === "remove") {
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
          const open = new Set([...groups.values()].flatMap(({ events }) => [...events.keys()]));
          expect([...settled].sort((a, b) => a - b)).toEqual(upTo(published).filter((n) => !open.has(n)));
        };
        for (const action of steps) {
          carryOut(action);
          await check();
        }
        for (const [id, owed] of groups) connect(id, owed, 1e6);
        for (let round = 0; round < 3; round++) {
          turn();
          for (const owed of groups.values()) owed.acknowledge(1e6);
          await check();
        }
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

function wants({ types, deadLetters }: Kind, isDead: boolean, isOdd: boolean): boolean {
  if (isDead) return deadLetters !== "none";
  return deadLetters !== "only" && (types.length === 0 || isOdd);
}

function definitionsOf(id: string, { types, deadLetters, buffer: own }: Kind): Downstream[] {
  const more = own === undefined ? {} : { buffer: own };
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
