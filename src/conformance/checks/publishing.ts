import { status } from "@grpc/grpc-js";
import { componentId, instanceId } from "../bench.ts";
import { plenty } from "../test-downstream.ts";
import { Broken } from "../waiting.ts";
import { text } from "../wire.ts";
import { type Check, producers } from "./check.ts";
import { acknowledgedUpTo } from "./steps.ts";

export const publishingChecks: readonly Check[] = [
  {
    id: "publish/opened",
    title: "answers Open with Opened, naming itself, before anything else",
    fix: "Write Opened as the first response, with FLOWCTL_COMPONENT_ID and FLOWCTL_INSTANCE_ID, also when Open does not say which instance it means.",
    types: producers,
    scene: "registered",
    async run(bench) {
      await bench.launch();
      const below = bench.below({ meant: "" });
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
    types: producers,
    scene: "giving",
    needs: ["publish/opened"],
    async run(bench) {
      await bench.launch();
      const below = bench.below({ acknowledge: true });
      await bench.produce(1);
      await bench.arrived(below, 1);
    },
  },
  {
    id: "publish/before-topology",
    title: "takes a subscription that comes before its first topology, or refuses it with UNAVAILABLE",
    fix: "Until RegisterComponent is answered nobody can know who is below: leave such a stream open, or end it with UNAVAILABLE; the subscriber dials again.",
    types: producers,
    needs: ["publish/sends"],
    async run(bench) {
      const { controlPlane } = bench;
      controlPlane.withholdRegistrations = true;
      await bench.launch();
      const below = bench.below({ acknowledge: true });
      await bench.quiet(() => {
        const code = below.lastEnd?.code ?? status.UNAVAILABLE;
        return code !== status.UNAVAILABLE && `it ended a stream that came early with status ${code}`;
      });
      controlPlane.answerRegistrations();
      await bench.produce(1);
      await bench.arrived(below, 1);
    },
  },
  {
    id: "publish/pings",
    title: "permits a ping every 5 seconds on a connection on which nothing flows",
    fix: "Tell your gRPC server to permit pings: Go keepalive.EnforcementPolicy{MinTime: 2 * time.Second, PermitWithoutStream: true}, Python grpc.http2.min_ping_interval_without_data_ms 2000, Java permitKeepAliveTime(2, SECONDS) and permitKeepAliveWithoutCalls(true).",
    types: producers,
    idle: true,
    needs: ["publish/opened"],
    async run(bench) {
      await bench.launch();
      const { pingMs } = bench.timing;
      const below = bench.below({ credit: { maxSequence: 0, maxBytes: 0 }, once: true, pingMs });
      await bench.until(() => below.opened, "no Opened came");
      // Servers bear with the first few, and a busy machine sends some late.
      const ended = await bench.happens(() => below.ended !== undefined, pingMs * 5.5 + bench.timing.stepMs / 5);
      if (ended) {
        throw new Broken(
          `it ended a stream that was pinged every ${pingMs / 1000} s: status ${below.ended?.code} ${below.ended?.details}`,
        );
      }
    },
  },
  {
    id: "publish/event",
    title: "gives every event an id and its own component id as the source",
    fix: "Set Event.id, unique and the same on a replay, and Event.source_component_id to FLOWCTL_COMPONENT_ID.",
    types: producers,
    scene: "giving",
    needs: ["publish/sends"],
    async run(bench) {
      await bench.launch();
      const below = bench.below({ acknowledge: true });
      const events = await bench.produce(3);
      await bench.arrived(below, Math.max(3, bench.expectedOutputs(events)));
      if (below.ids.includes("")) throw new Broken("one of its events has no id");
      const ids = below.idsOfStream;
      if (new Set(ids).size < ids.length) throw new Broken(`an id occurs twice among ${ids.length} events`);
    },
  },
  {
    id: "publish/sequences",
    title: "numbers the events of a stream from 1 without gaps",
    fix: "Count per stream: the first event on each new stream has sequence number 1.",
    types: producers,
    needs: ["publish/sends"],
  },
  {
    id: "publish/credit-events",
    title: "never sends more events than it was given credit for, and goes on when there is more",
    fix: "Send only while the sequence number is at most the highest max_sequence that came.",
    types: producers,
    scene: "giving",
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
    fix: "Add up the encoded sizes of the Event messages sent on a stream and stop before the sum passes max_bytes. When everything sent is acknowledged, one event may go whatever its size.",
    types: producers,
    scene: "giving",
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
    id: "publish/credit-with-ack",
    title: "takes credit that comes beside an acknowledgement, in the same request",
    fix: "Credit is no alternative of SubscribeRequest.request: look for it in every request, and for the acknowledgement beside it.",
    types: producers,
    scene: "giving",
    needs: ["publish/sends", "publish/credit-events"],
    async run(bench) {
      await bench.launch();
      const below = bench.below({ credit: { maxSequence: 1, maxBytes: plenty.maxBytes } });
      await bench.produce(2);
      await bench.arrived(below, 1);
      below.ackAndGrant(1, { maxSequence: 2, maxBytes: plenty.maxBytes });
      await bench.arrived(below, 2);
      // That it heard the acknowledgement as well shows when another takes over: it is owed the second event alone.
      below.leave();
      const next = bench.below({ instanceId: "below-2" });
      await bench.arrived(next, 1);
      if (next.ids[0] !== below.ids[1]) throw new Broken("it sent an event again that was acknowledged beside credit");
    },
  },
  {
    id: "publish/message-size",
    title: "keeps batches of several events below gRPC's default limit of 4 MiB",
    fix: "Begin another batch before the encoded events of one pass about 1 MiB.",
    types: producers,
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
      await acknowledgedUpTo(bench, stream, stream.sent, bench.timing.stepMs * 3);
    },
  },
  {
    id: "publish/unknown-fields",
    title: "takes requests with fields that it does not know",
    fix: "Use a protobuf library that skips unknown fields, as all of them do.",
    types: producers,
    scene: "giving",
    needs: ["publish/sends"],
    async run(bench) {
      await bench.launch();
      const who = { pipeline: bench.pipeline, group: "below", instanceId: "below-1", upstreamInstanceId: instanceId };
      const open = { ...who, types: [], credit: plenty };
      const encoded = bench.protocol.eventStream.Subscribe!.requestSerialize({ open });
      const below = bench.below({ instead: Buffer.concat([encoded, text(2000, "from the future")]) });
      await bench.produce(1);
      await bench.arrived(below, 1);
    },
  },
];
