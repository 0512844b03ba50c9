import { ownerOf } from "../partition.ts";
import { plenty } from "../test-downstream.ts";
import { Broken } from "../waiting.ts";
import { type Check, producers } from "./check.ts";
import { acknowledgedUpTo } from "./steps.ts";

/** Who gets an event: each group, one instance of it, and another one when that does not acknowledge it. */
export const sharingChecks: readonly Check[] = [
  {
    id: "publish/resend",
    title: "sends what was not acknowledged again, with the same ids, on the next stream of the group",
    fix: "Keep every event until its group has acknowledged it; when a stream ends, put what it held back in front.",
    types: producers,
    scene: "giving",
    needs: ["publish/event"],
    async run(bench) {
      const first = await oneOfFourAcknowledged(bench);
      first.close();
      await sendsAgain(bench, first, { instanceId: "below-1" });
    },
  },
  {
    id: "publish/successor",
    title: "sends what one instance did not acknowledge to another one of the group",
    fix: "Unacknowledged events belong to the group, not to the instance that had them: when its stream ends, they go to whichever instance has credit.",
    types: producers,
    scene: "giving",
    needs: ["publish/resend"],
    async run(bench) {
      const first = await oneOfFourAcknowledged(bench);
      first.close();
      await sendsAgain(bench, first, { instanceId: "below-2" });
    },
  },
  {
    id: "publish/replace",
    title: "lets a second subscription of the same instance replace the first",
    fix: "When an instance opens another stream, end its first one and resend on the second what was unacknowledged.",
    types: producers,
    scene: "giving",
    needs: ["publish/resend"],
    async run(bench) {
      const first = await oneOfFourAcknowledged(bench);
      await sendsAgain(bench, first, { instanceId: "below-1" });
      await bench.until(() => first.ended, "the first stream of the instance is still open");
    },
  },
  {
    id: "publish/goodbye",
    title: "lets a subscriber go that closes its side, and gives what it held to others",
    fix: "When the requests of a stream end, take the acks that came before, end your side with OK, and queue again what is unacknowledged. One that stops waits for that until its grace period is over.",
    types: producers,
    scene: "giving",
    needs: ["publish/successor"],
    async run(bench) {
      await bench.launch();
      const first = bench.below();
      await bench.produce(4);
      await bench.arrived(first, 4);
      first.ack(1);
      first.leave();
      await bench.until(() => first.ended, "the stream is still open after its subscriber closed its side");
      if (first.refused) throw new Broken(`it ended the stream with status ${first.ended?.code} instead of with OK`);
      await sendsAgain(bench, first, { instanceId: "below-2" });
    },
  },
  {
    id: "publish/every-group",
    title: "sends every event to every group",
    fix: "Give each group in Topology.downstreams a cursor of its own over the events.",
    types: producers,
    needs: ["publish/sends"],
    async run(bench) {
      await bench.launch({ groups: [{ id: "below" }, { id: "beside" }] });
      const below = bench.below({ acknowledge: true });
      const beside = bench.below({ group: "beside", acknowledge: true });
      await bench.produce(3);
      await bench.arrived(below, 3);
      await bench.arrived(beside, 3);
      await bench.until(
        () => below.ids.slice(0, 3).every((id) => beside.ids.includes(id)),
        () => `"below" got ${below.ids.slice(0, 3).join(", ")}, "beside" got ${beside.ids.slice(0, 10).join(", ")}`,
      );
    },
  },
  {
    id: "publish/group-gone",
    title: "waits no longer for a group that the topology does not name any more",
    fix: "On each topology forget the groups that it leaves out: end their streams, and count what waits for them as acknowledged by them.",
    types: producers,
    needs: ["ack/every-group", "checkpoint/every-group"],
    async run(bench) {
      await bench.launch({ groups: [{ id: "below" }, { id: "beside" }] });
      const below = bench.below({ acknowledge: true });
      const beside = bench.below({ group: "beside" });
      const events = await bench.produce(2);
      await bench.arrived(below, 2);
      await bench.arrived(beside, 2);
      bench.controlPlane.announce(bench.topology([bench.above], { groups: [{ id: "below" }] }));
      if (bench.facts.type === "processor") {
        await acknowledgedUpTo(bench, await bench.subscribed(), events.length);
      } else {
        const saved = () => bench.controlPlane.checkpoints.length > 0;
        await bench.until(saved, 'it saved no checkpoint after "beside" was gone', { mayExit: true });
      }
    },
  },
  {
    id: "publish/shares",
    title: "sends each event to one instance of a group",
    fix: "Instances of one group share its events: an event that one of them holds goes to no other.",
    types: producers,
    scene: "giving",
    needs: ["publish/sends"],
    async run(bench) {
      await bench.launch();
      const one = bench.below({ instanceId: "below-1" });
      const two = bench.below({ instanceId: "below-2" });
      await bench.until(() => one.opened && two.opened, "it has not opened both subscriptions");
      await bench.produce(6);
      await bench.until(
        () => one.events.length + two.events.length >= 6,
        () => `${one.events.length + two.events.length} of 6 events came`,
      );
      await bench.quiet(() => {
        const twice = two.ids.find((id) => one.ids.includes(id));
        return twice !== undefined && `both instances got the event "${twice}"`;
      });
    },
  },
  {
    id: "publish/partition-by",
    title: "sends the events of one key to the instance of the group that partition_by gives it",
    fix: "Where Downstream.partition_by is set, take the key from the event and choose the instance by the hash that the protocol's page describes; every instance of yours has to choose the same one.",
    types: producers,
    feature: "partition_by",
    needs: ["publish/shares", "publish/credit-events"],
    async run(bench) {
      bench.needsOutput(8);
      await bench.launch({ groups: [{ id: "below", partitionBy: "id", instances: 2 }] });
      const nothing = { maxSequence: 0, maxBytes: 0 };
      const instances = ["below-1", "below-2"].map((instanceId) => bench.below({ instanceId, credit: nothing }));
      await bench.until(() => instances.every(({ opened }) => opened), "it has not opened both subscriptions");
      if (bench.facts.type === "source") await bench.produce(8);
      // The hash is over UTF-16 code units: with letters of English alone bytes would do.
      else await bench.feed(bench.fresh(8).map((event) => ({ ...event, id: `${event.id} é日😀` })));
      for (const instance of instances) instance.grant(plenty);
      const came = () => instances.reduce((sum, { events }) => sum + events.length, 0);
      await bench.until(
        () => came() >= 8,
        () => `${came()} of 8 events came`,
      );
      for (const { instanceId, ids } of instances) {
        for (const id of ids) {
          const owner = ownerOf(id, ["below-1", "below-2"]);
          if (owner !== instanceId) {
            throw new Broken(`with partition_by "id" it sent the event "${id}" to ${instanceId} instead of ${owner}`);
          }
        }
      }
    },
  },
  {
    id: "publish/slot-stays",
    title: "keeps a key at its instance, when another one is to have it, until all that it was sent is acknowledged",
    fix: "When an instance comes that a slot belongs to from now on, send it nothing of that slot as long as the one before has something of it that is not acknowledged.",
    types: producers,
    feature: "partition_by",
    needs: ["publish/partition-by"],
    async run(bench) {
      bench.needsOutput(8);
      // No event has that: all have the same, empty key.
      await bench.launch({ groups: [{ id: "below", partitionBy: "metadata.no-such-key", instances: 2 }] });
      const first = bench.below({ credit: { maxSequence: 3, maxBytes: plenty.maxBytes } });
      await bench.produce(3);
      await bench.arrived(first, 3);
      const second = bench.below({ instanceId: heirOf("", first.instanceId) });
      await bench.until(() => second.opened, "it has not opened the second instance's subscription");
      await bench.produce(2);
      const tooEarly = (when: string) =>
        second.events.length > 0 && `it sent "${second.ids[0]}" to ${second.instanceId} ${when}`;
      await bench.quiet(() => tooEarly("while the instance before had 3 events of that key unacknowledged"));
      const [, nacked] = first.ids;
      first.nack(2);
      await bench.quiet(() =>
        tooEarly("while the instance before had 2 events of that key neither acknowledged nor nacked"),
      );
      first.ack(2);
      await bench.quiet(() => tooEarly("while the instance before had an event of that key unacknowledged"));
      first.ack(3);
      await bench.until(
        () => second.ids.includes(nacked!),
        () => `the nacked event "${nacked}" of the key did not come after the instance before was through with it`,
      );
    },
  },
  {
    id: "publish/dead-letters",
    title: "sends a group for dead letters nothing else, and does not wait for it",
    fix: "Where Downstream.dead_letters is set, give that group only the events that could not be processed; without support for on_error, nothing.",
    types: producers,
    needs: ["publish/every-group"],
    async run(bench) {
      await bench.launch({ groups: [{ id: "below" }, { id: "rejected", deadLetters: true }] });
      const below = bench.below({ acknowledge: true });
      const rejected = bench.below({ group: "rejected" });
      const events = await bench.produce(3);
      await bench.arrived(below, 3);
      await bench.quiet(() => rejected.events.length > 0 && `it sent "${rejected.ids[0]}" to a group for dead letters`);
      if (bench.facts.type === "processor") await acknowledgedUpTo(bench, await bench.subscribed(), events.length);
    },
  },
  {
    id: "publish/types",
    title: "sends a group only the types that the topology gives it",
    fix: "When Downstream.types is not empty, skip events of other types for that group, and count them as acknowledged.",
    types: producers,
    feature: "types",
    needs: ["publish/sends"],
    async run(bench) {
      await bench.launch({ groups: [{ id: "below", types: ["no.such.type"] }] });
      const below = bench.below();
      const events = await bench.produce(3);
      if (bench.facts.type === "processor") await acknowledgedUpTo(bench, await bench.subscribed(), events.length);
      await bench.quiet(
        () => below.events.length > 0 && `it sent "${below.events[0]?.type}" to a group that wants only "no.such.type"`,
      );
    },
  },
];

/** An instance that the key goes to as soon as it is there beside `before`. */
function heirOf(key: string, before: string): string {
  for (let number = 2; ; number += 1) {
    const id = `below-${number}`;
    if (ownerOf(key, [before, id]) === id) return id;
  }
}

/** Starts it, and subscribes: four events came, and the first of them is acknowledged. */
async function oneOfFourAcknowledged(
  bench: Parameters<NonNullable<Check["run"]>>[0],
): Promise<ReturnType<typeof bench.below>> {
  await bench.launch();
  const first = bench.below({ once: true });
  await bench.produce(4);
  await bench.arrived(first, 4);
  first.ack(1);
  await bench.quiet(() => undefined);
  return first;
}

/** Subscribes and expects everything after the first event that `first` received, and nothing before it. */
async function sendsAgain(
  bench: Parameters<NonNullable<Check["run"]>>[0],
  first: ReturnType<typeof bench.below>,
  options: { readonly instanceId: string },
): Promise<void> {
  const [acknowledged, ...unacknowledged] = first.ids.slice(0, 4);
  const second = bench.below(options);
  await bench.until(
    () => unacknowledged.every((id) => second.ids.includes(id)),
    () => `unacknowledged were ${unacknowledged.join(", ")}; again came ${second.ids.join(", ") || "nothing"}`,
  );
  if (second.ids.includes(acknowledged!)) throw new Broken(`"${acknowledged}" came again after it was acknowledged`);
}
