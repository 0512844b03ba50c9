import { componentId, instanceId } from "../bench.ts";
import { plenty } from "../test-downstream.ts";
import { Broken } from "../waiting.ts";
import { text } from "../wire.ts";
import { type Check, givers } from "./check.ts";
import { acknowledgedUpTo } from "./steps.ts";

export const publishingChecks: readonly Check[] = [
  {
    id: "publish/opened",
    title: "answers Open with Opened, naming itself, before anything else",
    fix: "Write Opened with component_id and instance_id as the first response.",
    types: givers,
    async run(bench) {
      await bench.launch();
      const below = bench.below();
      const opened = await bench.until(() => below.opened, "no Opened came");
      if (opened.componentId !== componentId || opened.instanceId !== instanceId) {
        throw new Broken(`Opened names ${opened.componentId} ${opened.instanceId}, not ${componentId} ${instanceId}`);
      }
    },
  },
  {
    id: "publish/sends",
    title: "sends its events to whoever subscribes",
    fix: "Once a subscription is open, send EventBatches as far as its credit goes.",
    types: givers,
    needs: ["publish/opened"],
    async run(bench) {
      await bench.launch();
      const below = bench.below({ acknowledge: true });
      await bench.produce(1);
      await bench.arrived(below, 1);
    },
  },
  {
    id: "publish/event",
    title: "gives every event an id and its own component id as the source",
    fix: "Set Event.id, unique and the same on a replay, and Event.source_component_id to FLOWCTL_COMPONENT_ID.",
    types: givers,
    needs: ["publish/sends"],
    async run(bench) {
      await bench.launch();
      const below = bench.below({ acknowledge: true });
      const events = await bench.produce(3);
      await bench.arrived(below, Math.max(3, bench.expectedOutputs(events)));
      if (below.ids.includes("")) throw new Broken("one of its events has no id");
      if (new Set(below.ids).size < below.ids.length)
        throw new Broken(`an id occurs twice among ${below.ids.length} events`);
    },
  },
  {
    id: "publish/sequences",
    title: "numbers the events of a stream from 1 without gaps",
    fix: "Count per stream: the first event on each new stream has sequence number 1.",
    types: givers,
    needs: ["publish/sends"],
  },
  {
    id: "publish/credit-events",
    title: "never sends more events than it was given credit for, and goes on when there is more",
    fix: "Send only while the sequence number is at most the highest max_sequence that came.",
    types: givers,
    needs: ["publish/sends"],
    async run(bench) {
      await bench.launch();
      const below = bench.below({ credit: { maxSequence: 2, maxBytes: plenty.maxBytes } });
      await bench.produce(5);
      await bench.arrived(below, 2);
      await bench.quiet(() => below.events.length > 2 && `it sent ${below.events.length} events with a credit of 2`);
      below.grant({ maxSequence: 4, maxBytes: plenty.maxBytes });
      await bench.arrived(below, 4);
      await bench.quiet(() => below.events.length > 4 && `it sent ${below.events.length} events with a credit of 4`);
    },
  },
  {
    id: "publish/credit-bytes",
    title: "never sends more bytes than it was given credit for, save one event when nothing is unacknowledged",
    fix: "Add up the encoded sizes of the events sent on a stream and stop before the sum passes max_bytes.",
    types: givers,
    needs: ["publish/sends"],
    async run(bench) {
      await bench.launch();
      const below = bench.below({ credit: { maxSequence: plenty.maxSequence, maxBytes: 1 } });
      await bench.produce(4);
      await bench.quiet(
        () => below.events.length > 1 && `it sent ${below.events.length} events with a credit of 1 byte`,
      );
      below.grant(plenty);
      await bench.arrived(below, 4);
    },
  },
  {
    id: "publish/message-size",
    title: "keeps batches of several events below gRPC's default limit of 4 MiB",
    fix: "Begin another batch before the encoded events of one pass about 1 MiB.",
    types: givers,
    needs: ["publish/sends", "publish/credit-events"],
    async run(bench) {
      await bench.launch();
      if (bench.facts.type === "source") return;
      bench.needsOutput(1);
      const below = bench.below({ credit: { maxSequence: 1, maxBytes: plenty.maxBytes } });
      const pad = "x".repeat(900_000);
      const events = bench
        .fresh(8)
        .map((event) => ({ ...event, metadata: { ...event.metadata, "conformance.pad": pad } }));
      const stream = await bench.subscribed();
      let bytes = 0;
      for (const event of events) {
        bytes += pad.length + 1_000;
        if (stream.room > 0 && (bytes < stream.credit.maxBytes || stream.sent === 0)) stream.send([event]);
      }
      await bench.arrived(below, 1);
      // Until all are inside and wait for credit, as far as its heartbeats tell.
      const inside = () => (bench.controlPlane.heartbeats.at(-1)?.metrics?.eventsIn ?? 0) >= stream.sent;
      await bench.happens(inside, bench.timing.quietMs * 5);
      below.grant(plenty);
      below.acknowledge = true;
      below.ackAll();
      await acknowledgedUpTo(bench, stream, stream.sent);
    },
  },
  {
    id: "publish/resend",
    title: "sends what was not acknowledged again, with the same ids, on the next stream of the group",
    fix: "Keep every event until its group has acknowledged it; when a stream ends, put what it held back in front.",
    types: givers,
    needs: ["publish/event"],
    async run(bench) {
      await bench.launch();
      const first = bench.below();
      await bench.produce(4);
      await bench.arrived(first, 4);
      first.ack(1);
      await bench.quiet(() => undefined);
      first.close();
      await sendsAgain(bench, first, { instanceId: "below-1" });
    },
  },
  {
    id: "publish/successor",
    title: "sends what one instance did not acknowledge to another one of the group",
    fix: "Unacknowledged events belong to the group, not to the instance that had them.",
    types: givers,
    needs: ["publish/resend"],
    async run(bench) {
      await bench.launch();
      const first = bench.below();
      await bench.produce(4);
      await bench.arrived(first, 4);
      first.ack(1);
      await bench.quiet(() => undefined);
      first.close();
      await sendsAgain(bench, first, { instanceId: "below-2" });
    },
  },
  {
    id: "publish/replace",
    title: "lets a second subscription of the same instance replace the first",
    fix: "When an instance opens another stream, end its first one and resend on the second what was unacknowledged.",
    types: givers,
    needs: ["publish/resend"],
    async run(bench) {
      await bench.launch();
      const first = bench.below();
      await bench.produce(4);
      await bench.arrived(first, 4);
      first.ack(1);
      await bench.quiet(() => undefined);
      await sendsAgain(bench, first, { instanceId: "below-1" });
      await bench.until(() => first.ended, "the first stream of the instance is still open");
    },
  },
  {
    id: "publish/nack",
    title: "sends a nacked event again, under a new sequence number",
    fix: "Take a nacked event as not acknowledged and queue it again for its group.",
    types: givers,
    needs: ["publish/event", "ack/after-below"],
    async run(bench) {
      await bench.launch();
      const below = bench.below({ credit: { maxSequence: 1, maxBytes: plenty.maxBytes } });
      const [input] = await bench.produce(1);
      await bench.arrived(below, 1);
      below.nack(1);
      below.grant(plenty);
      await bench.until(
        () => below.ids.indexOf(below.ids[0]!, 1) > 0,
        () => `the nacked event "${below.ids[0]}" did not come again`,
      );
      if (input === undefined) return;
      const stream = await bench.subscribed();
      await bench.quiet(() => stream.acked > 0 && "it acknowledged the input of an event that was nacked");
      below.acknowledge = true;
      below.ackAll();
      await acknowledgedUpTo(bench, stream, 1);
    },
  },
  {
    id: "publish/every-group",
    title: "sends every event to every group",
    fix: "Give each group in Topology.downstreams a cursor of its own over the events.",
    types: givers,
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
    id: "publish/shares",
    title: "sends each event to one instance of a group",
    fix: "Instances of one group share its events: an event that one of them holds goes to no other.",
    types: givers,
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
    id: "publish/types",
    title: "sends a group only the types that the topology gives it",
    fix: "When Downstream.types is not empty, skip events of other types for that group, and count them as acknowledged.",
    types: givers,
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
  {
    id: "publish/unknown-fields",
    title: "takes requests with fields that it does not know",
    fix: "Use a protobuf library that skips unknown fields, as all of them do.",
    types: givers,
    needs: ["publish/sends"],
    async run(bench) {
      await bench.launch();
      const open = { pipeline: bench.pipeline, group: "below", instanceId: "below-1", types: [], credit: plenty };
      const encoded = bench.protocol.eventStream.Subscribe!.requestSerialize({ open });
      const below = bench.below({ instead: Buffer.concat([encoded, text(2000, "from the future")]) });
      await bench.produce(1);
      await bench.arrived(below, 1);
    },
  },
];

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
