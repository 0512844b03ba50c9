import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { EventEncoder } from "../../protocol/event-encoder.ts";
import type { Downstream } from "../../protocol/records.ts";
import { SlabPool } from "../../protocol/slab-pool.ts";
import { decodeResponse, eventsOf, type OutgoingBatch } from "../../protocol/stream-codec.ts";
import type { Member, MemberTransport } from "./member.ts";
import { Publisher } from "./publisher.ts";
import { group, inRuns } from "./publisher-world.fake.ts";

const RUNS = Number(process.env.FLOWCTL_PROPERTY_RUNS ?? 40);

/** Every kind of group that a component can have below it. */
const GROUPS: readonly Downstream[] = [
  group("all"),
  group("shared", { desiredInstances: 2 }),
  group("keyed", { partitionBy: "payload.key", desiredInstances: 2 }),
  group("typed", { types: ["odd"] }),
  group("dead", { deadLetters: true }),
  group("both"),
  group("both", { deadLetters: true }),
  group("newest", { buffer: { type: "memory", maxEvents: 7, maxBytes: 0, whenFull: "drop_newest" } }),
  group("oldest", { buffer: { type: "memory", maxEvents: 7, maxBytes: 0, whenFull: "drop_oldest" } }),
];
const NAMES = ["all", "shared", "shared/2", "keyed", "keyed/2", "typed", "dead", "both", "newest", "oldest"];

interface Note {
  readonly n: number;
  readonly dead: boolean;
  readonly odd: boolean;
}

/** Keeps batches as a stream does whose peer does not read: written when somebody looks. */
class SlowPeer implements MemberTransport {
  member: Member | undefined;
  readonly got: number[] = [];
  acked = 0;
  granted = 0;
  private queue: OutgoingBatch[] = [];

  send(batch: OutgoingBatch): boolean {
    this.queue.push(batch);
    return true;
  }

  finish(): void {}

  fail(): void {}

  /** Reads up to so many batches. What is in them has to be what was published. */
  read(count: number): void {
    for (const batch of this.queue.splice(0, count)) {
      const message = batch.toBuffer();
      const response = decodeResponse(message, { add: () => undefined });
      expect(response).toMatchObject({ kind: "batch", firstSequence: this.got.length + 1 });
      for (const event of eventsOf(message)) {
        const { n } = event.json() as { n: number };
        expect(event.id).toBe(`n-${n}`);
        expect(event.text()).toBe(contentOf(n));
        this.got.push(n);
      }
    }
    expect(this.got.length).toBeLessThanOrEqual(this.granted);
  }
}

/** So large that a slab is full after a few. */
function contentOf(n: number): string {
  return JSON.stringify({ n, key: `k${n % 5}`, filling: String(n % 10).repeat((n * 7919) % 12_000) });
}

const peer = fc.constantFrom(...NAMES);
const step = fc.oneof(
  {
    weight: 6,
    arbitrary: fc.record({
      do: fc.constant("publish" as const),
      count: fc.integer({ min: 1, max: 30 }),
      deadEvery: fc.constantFrom(2, 3, 100),
      source: fc.nat(1),
    }),
  },
  { weight: 2, arbitrary: fc.record({ do: fc.constant("turn" as const) }) },
  { weight: 4, arbitrary: fc.record({ do: fc.constant("connect" as const), peer, credit: fc.nat(20) }) },
  { weight: 5, arbitrary: fc.record({ do: fc.constant("grant" as const), peer, more: fc.nat(60) }) },
  { weight: 5, arbitrary: fc.record({ do: fc.constant("read" as const), peer, count: fc.nat(4) }) },
  { weight: 6, arbitrary: fc.record({ do: fc.constant("ack" as const), peer, count: fc.nat(60) }) },
  { weight: 1, arbitrary: fc.record({ do: fc.constant("leave" as const), peer }) },
);

/**
 * The model: what each group is owed. Whatever its neighbours have acknowledged long before: it gets that and nothing else,
 * in order, byte for byte though memory is used again, and each event is settled once, when all have it.
 */
describe("a publisher with groups of every kind", () => {
  it("gives each group exactly what it is owed, and settles each event once", () => {
    fc.assert(
      fc.property(fc.array(step, { minLength: 1, maxLength: 60, size: "max" }), (steps) => {
        const memory = new SlabPool();
        const encoder = new EventEncoder(memory);
        const deferred: (() => void)[] = [];
        const publisher = new Publisher({ memory, defer: (action) => deferred.push(action) });
        publisher.setGroups(GROUPS);
        const notes: Note[] = [];
        const settled: number[] = [];
        const settle = (tag: number): void => void settled.push(tag);
        const receipts = [{ settle }, inRuns(settle)];
        const peers = new Map<string, SlowPeer>();
        const done = new Map<string, number[]>(NAMES.map((name) => [groupOf(name), []]));
        const turn = (): void => {
          for (const action of deferred.splice(0)) action();
        };
        const connect = (name: string, credit: number): void => {
          const fresh = new SlowPeer();
          fresh.granted = credit;
          peers.set(name, fresh);
          fresh.member = publisher.attach(groupOf(name), name, fresh, { maxSequence: credit, maxBytes: 1e9 });
        };
        const acknowledge = (name: string, of: SlowPeer, count: number): void => {
          const to = Math.min(of.got.length, of.acked + count);
          done.get(groupOf(name))!.push(...of.got.slice(of.acked, to));
          of.acked = to;
          of.member!.ack(to);
        };
        for (const action of steps) {
          if (action.do === "publish") {
            for (let i = 0; i < action.count; i++) {
              const n = notes.length;
              const note = { n, dead: n % action.deadEvery === 1, odd: n % 2 === 1 };
              notes.push(note);
              const event = encoder.encode({
                id: "n-",
                idNumber: n,
                type: note.odd ? "odd" : "even",
                payload: contentOf(n),
                metadata: undefined,
                timestamp: undefined,
                sourceComponentId: "s",
                contentType: "",
              });
              publisher.publish(event, receipts[action.source]!, n, note.dead);
            }
          } else if (action.do === "turn") turn();
          else {
            const known = peers.get(action.peer);
            if (action.do === "connect") connect(action.peer, action.credit);
            else if (known === undefined) continue;
            else if (action.do === "grant") {
              known.granted += action.more;
              known.member!.grant({ maxSequence: known.granted, maxBytes: 1e9 });
            } else if (action.do === "read") known.read(action.count);
            else if (action.do === "ack") acknowledge(action.peer, known, action.count);
            else {
              peers.delete(action.peer);
              publisher.detach(groupOf(action.peer), known.member!);
            }
          }
          expect(new Set(settled).size).toBe(settled.length);
        }
        for (const name of NAMES) connect(name, 1e6);
        for (let round = 0; round < 4; round++) {
          turn();
          for (const [name, of] of peers) {
            of.read(1e6);
            acknowledge(name, of, 1e6);
          }
        }
        const sorted = (id: string): number[] => [...done.get(id)!].sort((a, b) => a - b);
        const owed = (wanted: (note: Note) => boolean): number[] => notes.filter(wanted).map(({ n }) => n);
        for (const id of ["all", "shared", "keyed"]) expect(sorted(id)).toEqual(owed(({ dead }) => !dead));
        expect(sorted("typed")).toEqual(owed(({ dead, odd }) => !dead && odd));
        expect(sorted("dead")).toEqual(owed(({ dead }) => dead));
        expect(sorted("both")).toEqual(owed(() => true));
        const dropped = publisher.counters().dropped;
        expect(done.get("newest")!.length + done.get("oldest")!.length + dropped).toBe(
          2 * owed(({ dead }) => !dead).length,
        );
        expect([...settled].sort((a, b) => a - b)).toEqual(owed(() => true));
        expect(publisher.counters().inFlight).toBe(0);
        expect(publisher.hasRoom).toBe(true);
      }),
      { numRuns: RUNS },
    );
  }, 300_000);
});

function groupOf(name: string): string {
  return name.split("/")[0]!;
}
