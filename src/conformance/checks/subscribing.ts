import { componentId, instanceId } from "../bench.ts";
import type { EventMessage } from "../messages.ts";
import { Broken } from "../waiting.ts";
import { type Check, consumers, processors } from "./check.ts";
import { acknowledgedUpTo, acknowledgesAll, acknowledgingDownstream } from "./steps.ts";

/** More than any component should take in without getting rid of it: events, and bytes of them. */
const tooMany = 100_000;
const tooMuch = 128 * 1024 * 1024;

export const subscribingChecks: readonly Check[] = [
  {
    id: "subscribe/open",
    title: "opens a subscription with its pipeline, group and instance, the instance that it means and a first credit",
    fix: "Send Open first, once: pipeline, the component id as group, the instance id, the upstream's instance id as the topology gives it, and credit for at least one event.",
    types: consumers,
    scene: "registered",
    needs: ["watch/subscribes"],
    async run(bench) {
      await bench.launch();
      const { open } = await bench.subscribed();
      const upstreamInstanceId = bench.above.instanceId;
      const wanted = { pipeline: bench.pipeline, group: componentId, instanceId, upstreamInstanceId };
      for (const [key, value] of Object.entries(wanted)) {
        const said = open?.[key as keyof typeof wanted];
        if (said !== value) throw new Broken(`Open has ${key} "${said}" instead of "${value}"`);
      }
      if (!open?.credit?.maxSequence || !open.credit.maxBytes) {
        throw new Broken("Open gives no credit: credit.max_sequence and credit.max_bytes both have to be above 0");
      }
    },
  },
  {
    id: "subscribe/credit",
    title: "gives more credit as events are done with, as totals that never fall",
    fix: "As you acknowledge, send Credit: max_sequence is the last sequence number acknowledged plus how many events you can hold, max_bytes the encoded size of all events acknowledged plus how many bytes you can hold.",
    types: consumers,
    scene: "taking",
    needs: ["subscribe/open", "ack/all"],
    async run(bench) {
      await bench.launch();
      acknowledgingDownstream(bench);
      const stream = await bench.subscribed();
      const first = stream.credit;
      if (first.maxSequence > tooMany)
        throw new Broken(`its first credit is ${first.maxSequence} events, which bounds nothing`);
      for (const events of chunks(bench.fresh(Math.max(0, first.maxSequence - stream.sent)), 100)) stream.send(events);
      await bench.until(
        () => stream.credit.maxSequence > first.maxSequence,
        () =>
          `it gave no more credit after all of the first ${first.maxSequence} events (${stream.acked} acknowledged)`,
        { timeoutMs: bench.timing.stepMs * 2 },
      );
    },
  },
  {
    id: "subscribe/backpressure",
    title: "gives no more credit when what is below it does not take its events",
    fix: "Let credit grow only as you acknowledge: an event whose outputs wait for those below takes up room as long as they do.",
    types: processors,
    needs: ["subscribe/open", "ack/after-below"],
    async run(bench) {
      await bench.launch();
      bench.needsOutput(1);
      bench.below({ credit: { maxSequence: 1, maxBytes: 1_000_000 } });
      const stream = await bench.subscribed();
      const pad = "x".repeat(20_000);
      let bytes = 0;
      // Fed until it has had no room for a while.
      for (;;) {
        if (!(await bench.happens(() => stream.room > 0 && bytes < stream.credit.maxBytes, bench.timing.quietMs * 2))) {
          return;
        }
        const room = Math.min(stream.room, Math.ceil((stream.credit.maxBytes - bytes) / pad.length));
        const events = bench.fresh(Math.max(1, Math.min(50, room)));
        const padded = events.map((event) => ({ ...event, metadata: { ...event.metadata, "conformance.pad": pad } }));
        bytes += padded.reduce((sum, event) => sum + approximateSize(event), 0);
        stream.send(padded);
        if (stream.sent >= tooMany || bytes >= tooMuch) {
          throw new Broken(`it took ${stream.sent} events, ${bytes} bytes, while the one below it took a single one`);
        }
      }
    },
  },
  {
    id: "subscribe/large-event",
    title: "takes a single event of more than 4 MiB, gRPC's default limit",
    fix: "Raise the limit of your gRPC client on received messages to 20 MiB: one event may have 16 MiB. For a processor, leave what its server may send without a limit.",
    types: consumers,
    scene: "taking",
    needs: ["ack/all"],
    async run(bench) {
      await bench.launch();
      acknowledgingDownstream(bench);
      const pad = "x".repeat(4.5 * 1024 * 1024);
      const [event] = bench.fresh(1);
      // Beyond its credit in bytes, if need be, as a single event may go when nothing is unacknowledged.
      const stream = await bench.feed([{ ...event!, metadata: { ...event!.metadata, "conformance.pad": pad } }]);
      // It comes in many small pieces, each of which waits for the one before on its way.
      await acknowledgedUpTo(bench, stream, stream.sent, bench.timing.stepMs * 3);
    },
  },
  {
    id: "ack/all",
    title: "acknowledges every event in the end",
    fix: "Send Ack with the highest sequence number up to which everything is done: a sink has written it durably; a processor has made nothing of it, or the outputs are acknowledged below.",
    types: consumers,
    scene: "taking",
    needs: ["watch/subscribes"],
    async run(bench) {
      await bench.launch();
      acknowledgingDownstream(bench);
      await acknowledgesAll(bench, bench.fresh(10));
    },
  },
  {
    id: "ack/monotone",
    title: "never acknowledges backwards",
    fix: "An ack covers everything before it: send only numbers above the last.",
    types: consumers,
    needs: ["ack/all"],
  },
  {
    id: "ack/sent",
    title: "never acknowledges what it was not sent",
    fix: "Sequence numbers count from 1 on each stream: forget those of the stream before.",
    types: consumers,
    needs: ["ack/all"],
  },
  {
    id: "ack/after-below",
    title: "acknowledges an event only after everything made from it is acknowledged below",
    fix: "Hold the ack of an input until each group has acknowledged every output made from it.",
    types: processors,
    scene: "giving",
    needs: ["ack/all"],
    async run(bench) {
      await bench.launch();
      const below = bench.below();
      const stream = await bench.subscribed();
      const before = stream.acked;
      const acked = () => stream.acked - before;
      const events = await bench.produce(3);
      await bench.arrived(below, bench.expectedOutputs(events));
      await bench.quiet(() => acked() > 0 && `it acknowledged ${acked()} with nothing acknowledged below`);
      below.ack(1);
      await bench.quiet(() => acked() > 1 && `it acknowledged ${acked()} with only one event acknowledged below`);
      below.ackAll();
      await acknowledgedUpTo(bench, stream, stream.sent);
    },
  },
  {
    id: "ack/contiguous",
    title: "acknowledges nothing past an event that one instance below still holds",
    fix: "An ack is cumulative: it may only move over inputs that are all done, in order, whoever below did them.",
    types: processors,
    scene: "giving",
    needs: ["ack/after-below", "publish/credit-events"],
    async run(bench) {
      await bench.launch();
      const stream = await bench.subscribed();
      const before = stream.acked;
      const slow = bench.below({ instanceId: "below-1", credit: { maxSequence: 1, maxBytes: 1_000_000 } });
      await bench.produce(1);
      await bench.arrived(slow, 1);
      const quick = bench.below({ instanceId: "below-2", acknowledge: true });
      await bench.until(() => quick.opened, "it has not opened the second instance's subscription");
      await bench.produce(5);
      await bench.arrived(quick, 1);
      const acked = () => stream.acked - before;
      await bench.quiet(() => acked() > 0 && `it acknowledged ${acked()} while below-1 still held the first`);
      slow.grant({ maxSequence: 1_000, maxBytes: 1_000_000 });
      slow.acknowledge = true;
      slow.ackAll();
      await acknowledgedUpTo(bench, stream, stream.sent);
    },
  },
  {
    id: "ack/every-group",
    title: "acknowledges an event only after every group below has it, one that is not there yet included",
    fix: "Take the groups from Topology.downstreams, not from who happens to be subscribed.",
    types: processors,
    needs: ["ack/after-below", "publish/every-group"],
    async run(bench) {
      await bench.launch({ groups: [{ id: "below" }, { id: "beside" }] });
      const below = bench.below({ acknowledge: true });
      const events = await bench.produce(3);
      await bench.arrived(below, bench.expectedOutputs(events));
      const stream = await bench.subscribed();
      await bench.quiet(() => stream.acked > 0 && `it acknowledged ${stream.acked} before the group "beside" came`);
      const beside = bench.below({ group: "beside", acknowledge: true });
      await bench.arrived(beside, below.events.length);
      await acknowledgedUpTo(bench, stream, 3);
    },
  },
  {
    id: "subscribe/again",
    title: "subscribes again when its stream breaks, and takes what is sent again",
    fix: "When a stream breaks, open another one after a short, growing pause; its sequence numbers begin at 1.",
    types: consumers,
    needs: ["ack/all"],
    async run(bench) {
      await bench.launch();
      const events = bench.fresh(4);
      const below = bench.facts.type === "processor" ? bench.below() : undefined;
      const broken = await bench.feed(events);
      if (below !== undefined) await bench.arrived(below, bench.expectedOutputs(events));
      broken.break();
      const stream = await bench.feed(events);
      if (below !== undefined) {
        below.acknowledge = true;
        below.ackAll();
      }
      await acknowledgedUpTo(bench, stream, events.length);
    },
  },
  {
    id: "subscribe/after-ok",
    title: "takes a stream that ends without EndOfStream for broken, whatever its status, and subscribes again",
    fix: "Let only EndOfStream say that the data has ended: the end of the stream itself, with OK too, says nothing about the data.",
    types: consumers,
    needs: ["subscribe/again"],
    async run(bench) {
      await bench.launch();
      acknowledgingDownstream(bench);
      const stream = await acknowledgesAll(bench, bench.fresh(2));
      stream.finish();
      await bench.until(() => stream.ended, "it has not closed its side of a stream that ended with OK");
      await acknowledgesAll(bench, bench.fresh(2));
    },
  },
  {
    id: "subscribe/wrong-upstream",
    title: "leaves an upstream that is another instance, takes nothing from it, and connects anew",
    fix: "Compare Opened with the component and instance that the topology named; when it differs, or the stream is refused with FAILED_PRECONDITION, close the channel, so that the next try looks the address up again.",
    types: consumers,
    needs: ["ack/all"],
    async run(bench) {
      bench.above.isAnother("says so");
      await bench.launch();
      const below = acknowledgingDownstream(bench);
      const wrong = await bench.subscribed();
      const outputs = (events: readonly EventMessage[]): number =>
        below === undefined ? 0 : bench.expectedOutputs(events);
      wrong.send(bench.fresh(1));
      await bench.until(() => wrong.ended, "it stays with an upstream that is another than the topology named");
      if (wrong.acked > 0) throw new Broken("it acknowledged an event of an upstream that the topology did not name");
      if (below !== undefined && below.events.length > 0)
        throw new Broken("it gave on an event of an upstream that the topology did not name");
      const events = bench.fresh(2);
      const right = await acknowledgesAll(bench, events);
      if (below !== undefined && below.events.length > outputs(events))
        throw new Broken("it gave on an event of an upstream that the topology did not name");
      bench.above.isAnother("refuses");
      right.break();
      await acknowledgesAll(bench, bench.fresh(2));
    },
  },
  {
    id: "publish/stable-ids",
    title: "gives the same ids when it is sent the same events again",
    fix: "Make the id of an output from the id of its input, so that a replay has the same ids.",
    types: processors,
    needs: ["subscribe/again", "publish/event"],
    async run(bench) {
      await bench.launch();
      const below = bench.below({ acknowledge: true });
      const events = await bench.produce(3);
      await bench.arrived(below, bench.expectedOutputs(events));
      const ids = new Set(below.ids);
      await bench.component?.kill();
      await bench.launch();
      const after = bench.below({ acknowledge: true });
      await bench.feed(events);
      await bench.arrived(after, 1);
      const strange = after.ids.find((id) => !ids.has(id));
      if (strange !== undefined) throw new Broken(`after a restart the same inputs gave another id: "${strange}"`);
    },
  },
  {
    id: "subscribe/unknown-fields",
    title: "takes messages with fields that it does not know",
    fix: "Use a protobuf library that skips unknown fields, as all of them do, and no check that forbids them.",
    types: consumers,
    scene: "taking",
    needs: ["ack/all"],
    async run(bench) {
      await bench.launch();
      acknowledgingDownstream(bench);
      const stream = await bench.subscribed();
      stream.sendFromTheFuture(bench.fresh(1)[0]!);
      await acknowledgedUpTo(bench, stream, stream.sent);
    },
  },
];

function approximateSize(event: EventMessage): number {
  const metadata = Object.entries(event.metadata).reduce((sum, [key, value]) => sum + key.length + value.length + 8, 0);
  return event.payload.length + metadata + event.id.length + event.type.length + 200;
}

function chunks<Item>(items: readonly Item[], size: number): Item[][] {
  return Array.from({ length: Math.ceil(items.length / size) }, (_, index) =>
    items.slice(index * size, (index + 1) * size),
  );
}
