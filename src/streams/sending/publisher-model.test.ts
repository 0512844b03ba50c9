import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { group, type Peer, setUp } from "./publisher-world.fake.ts";

/**
 * The model: a set of events, and for each group which of them it has acknowledged. Under any interleaving of publishing,
 * acknowledging, refusing, joining, leaving, taking over, more credit and a blocked transport: what is sent obeys credit
 * and order; what a receipt says is what the model says; and in the end everything is delivered and acknowledged.
 */
describe("a publisher under any interleaving", () => {
  const groupIds = ["a", "b"];
  const command = fc.oneof(
    { weight: 4, arbitrary: fc.record({ do: fc.constant("publish" as const), key: fc.nat(5) }) },
    { weight: 2, arbitrary: fc.record({ do: fc.constant("turn" as const) }) },
    {
      weight: 2,
      arbitrary: fc.record({
        do: fc.constant("connect" as const),
        g: fc.nat(1),
        i: fc.nat(2),
        credit: fc.integer({ min: 0, max: 6 }),
      }),
    },
    {
      weight: 4,
      arbitrary: fc.record({
        do: fc.constant("ack" as const),
        g: fc.nat(1),
        i: fc.nat(2),
        count: fc.integer({ min: 1, max: 4 }),
        more: fc.nat(3),
      }),
    },
    { weight: 1, arbitrary: fc.record({ do: fc.constant("leave" as const), g: fc.nat(1), i: fc.nat(2) }) },
    {
      weight: 2,
      arbitrary: fc.record({ do: fc.constant("nack" as const), g: fc.nat(1), i: fc.nat(2), which: fc.nat(5) }),
    },
    {
      weight: 2,
      arbitrary: fc.record({
        do: fc.constant("credit" as const),
        g: fc.nat(1),
        i: fc.nat(2),
        more: fc.integer({ min: 1, max: 5 }),
      }),
    },
    { weight: 1, arbitrary: fc.record({ do: fc.constant("full" as const), g: fc.nat(1), i: fc.nat(2) }) },
    { weight: 2, arbitrary: fc.record({ do: fc.constant("timers" as const) }) },
  );

  it.each([
    ["shared by load", ""],
    ["shared by key", "payload.key"],
  ])("loses nothing, settles nothing early, and keeps its word on credit: %s", (_title, partitionBy) => {
    fc.assert(
      fc.property(fc.array(command, { maxLength: 120, size: "max" }), (commands) => {
        const world = setUp(groupIds.map((id) => group(id, { partitionBy })));
        const peers = new Map<string, Peer>();
        const acknowledged = new Map(groupIds.map((id) => [id, new Set<string>()]));
        const published: string[] = [];
        const keys = new Map<string, number>();
        const lastOfKey = new Map<string, number>();
        /** Sequence numbers that a stream has refused: acknowledging them says nothing. */
        const refused = new Map<Peer, Set<number>>();
        const drop = (name: string): void => {
          const peer = peers.get(name);
          if (peer === undefined) return;
          peers.delete(name);
          world.publisher.detach(name[0]!, peer.member!);
          for (const key of [...lastOfKey.keys()]) if (key.startsWith(`${name[0]}/`)) lastOfKey.delete(key);
        };
        const ackSome = (name: string, peer: Peer, count: number, more = 0): void => {
          const to = Math.min(peer.got.length, peer.acked + count);
          for (let s = peer.acked; s < to; s++) {
            const { event: view, sequence } = peer.got[s]!;
            if (refused.get(peer)?.has(sequence)) continue;
            acknowledged.get(name[0]!)!.add(view.id);
          }
          peer.acked = to;
          peer.creditSequence += more;
          // With the acknowledgement, in one request.
          const credit = more === 0 ? undefined : { maxSequence: peer.creditSequence, maxBytes: 1e9 };
          peer.member?.ack(to, credit);
        };
        const check = (): void => {
          const everywhere = published.filter((id) => groupIds.every((g) => acknowledged.get(g)!.has(id)));
          expect(new Set(world.settled.map((n) => `n-${n}`))).toEqual(new Set(everywhere));
          expect(new Set(world.settled).size).toBe(world.settled.length);
        };
        for (const step of commands) {
          const name = "g" in step ? `${groupIds[step.g]}-${step.i}` : "";
          const peer = peers.get(name);
          switch (step.do) {
            case "publish": {
              const n = published.length + 1;
              published.push(`n-${n}`);
              keys.set(`n-${n}`, step.key);
              world.publish(n, `k${step.key}`);
              break;
            }
            case "turn":
              world.turn();
              break;
            case "connect":
              peers.delete(name);
              peers.set(name, world.connect(name[0]!, name, step.credit));
              break;
            case "ack":
              if (peer !== undefined) ackSome(name, peer, step.count, step.more);
              break;
            case "leave":
              drop(name);
              break;
            case "nack":
              if (peer !== undefined && peer.acked < peer.got.length) {
                const mine = refused.get(peer) ?? new Set<number>();
                const sent = peer.got.slice(peer.acked);
                const before = new Set([...mine].map((sequence) => peer.got[sequence - 1]!.event.id));
                const again = sent.filter(({ sequence, event: view }) => before.has(view.id) && !mine.has(sequence));
                // What was refused before is refused again rather than anything else.
                const { sequence } = again[0] ?? sent[step.which % sent.length]!;
                refused.set(peer, mine.add(sequence));
                peer.member?.nack(sequence);
              }
              break;
            case "credit":
              if (peer !== undefined) {
                peer.creditSequence += step.more;
                peer.member?.grant({ maxSequence: peer.creditSequence, maxBytes: 1e9 });
              }
              break;
            case "full":
              if (peer !== undefined) {
                peer.full = !peer.full;
                if (!peer.full) peer.member?.drained();
              }
              break;
            case "timers":
              world.fireTimers();
              break;
          }
          check();
        }
        // Whatever happened, honest peers with credit finish the job.
        for (const name of [...peers.keys()]) drop(name);
        const finals = groupIds.map((id) => [id, world.connect(id, `${id}-final`, 1e6)] as const);
        for (let round = 0; round < 4; round++) {
          world.turn();
          world.fireTimers();
          for (const [id, peer] of finals) ackSome(`${id}-final`, peer, 1e6);
        }
        expect(new Set(world.settled).size).toBe(published.length);
        expect(world.settled.length).toBe(published.length);
        world.publisher.end();
        for (const [, peer] of finals) expect(peer.ended).toBe(peer.got.length);
      }),
      { numRuns: 200 },
    );
  });

  it("keeps the order of every key, whoever joins or leaves, and never has one key at two instances at once", () => {
    const step = fc.oneof(
      { weight: 5, arbitrary: fc.record({ do: fc.constant("publish" as const), key: fc.nat(7) }) },
      {
        weight: 4,
        arbitrary: fc.record({ do: fc.constant("ack" as const), i: fc.nat(3), count: fc.integer({ min: 1, max: 5 }) }),
      },
      { weight: 1, arbitrary: fc.record({ do: fc.constant("join" as const), i: fc.nat(3) }) },
      { weight: 1, arbitrary: fc.record({ do: fc.constant("die" as const), i: fc.nat(3) }) },
    );
    fc.assert(
      fc.property(fc.array(step, { maxLength: 150 }), (steps) => {
        const world = setUp([group("a", { partitionBy: "payload.key", desiredInstances: 4 })]);
        const peers = new Map<string, Peer>();
        const done = new Map<string, number>();
        let n = 0;
        const process = (peer: Peer, count: number): void => {
          const to = Math.min(peer.got.length, peer.acked + count);
          for (let s = peer.acked; s < to; s++) {
            const { n: number, key } = peer.got[s]!.event.json() as { n: number; key: string };
            expect(number).toBeGreaterThan(done.get(key) ?? 0);
            done.set(key, number);
          }
          peer.acked = to;
          peer.member?.ack(to);
        };
        for (const action of steps) {
          if (action.do === "publish") world.publish(++n, `k${action.key}`);
          else {
            const name = `a-${action.i}`;
            const peer = peers.get(name);
            if (action.do === "ack" && peer !== undefined) process(peer, action.count);
            if (action.do === "join" && peer === undefined) peers.set(name, world.connect("a", name, 1e6));
            if (action.do === "die" && peer !== undefined) {
              peers.delete(name);
              world.publisher.detach("a", peer.member!);
            }
          }
          world.turn();
          const holders = new Map<string, string>();
          for (const [name, peer] of peers) {
            for (const { event: view } of peer.got.slice(peer.acked)) {
              const { key } = view.json() as { key: string };
              expect(holders.get(key) ?? name).toBe(name);
              holders.set(key, name);
            }
          }
        }
      }),
      { numRuns: 150 },
    );
  });
});
