import type { Bench } from "../bench.ts";
import { plenty, type TestDownstream } from "../test-downstream.ts";
import type { UpstreamStream } from "../test-upstream.ts";
import { Broken } from "../waiting.ts";
import { type Check, consumers, everyType, producers, sources } from "./check.ts";
import { endSeen } from "./finishing.ts";
import { acknowledgesAll, acknowledgingDownstream, leavesAsCompleted } from "./steps.ts";

/** How an instance goes that is removed while the pipeline runs. */
export const leavingChecks: readonly Check[] = [
  {
    id: "leave/ends",
    title: "ends by itself when the topology says that it is leaving: deregisters as completed and exits with 0",
    fix: "On Topology.leaving take nothing new, wait until everything is acknowledged, close your side of the streams to the upstreams, send EndOfStream, deregister with COMPLETED, exit with 0.",
    types: everyType,
    feature: "leaving",
    needs: ["ack/all"],
    async run(bench) {
      await bench.launch();
      const below = acknowledgingDownstream(bench);
      if (bench.facts.type === "source") await bench.until(() => below?.opened, "no Opened came");
      else await acknowledgesAll(bench, bench.fresh(3));
      const stream = bench.above.live;
      leave(bench);
      await leavesAsCompleted(bench, "after the topology said that it is leaving");
      if (stream !== undefined && !stream.left)
        throw new Broken("it broke its stream instead of closing its side of it: no upstream knows that it has gone");
      if (below !== undefined) await hasEnd(bench, below);
    },
  },
  {
    id: "leave/nothing-new",
    title: "takes nothing new once it is leaving, and hands nothing on half done",
    fix: "On Topology.leaving begin no more events: what you have received and not begun is not acknowledged, and goes to others when you close your side.",
    types: consumers,
    feature: "leaving",
    needs: ["leave/ends"],
    async run(bench) {
      await bench.launch();
      const below = acknowledgingDownstream(bench);
      const stream = await acknowledgesAll(bench, bench.fresh(2));
      leave(bench);
      const fed = await feedUntilLeft(bench, stream);
      await leavesAsCompleted(bench, "after the topology said that it is leaving");
      if (below === undefined) return;
      const done = fed.slice(0, Math.max(0, stream.acked - 2));
      const wanted = bench.expectedOutputs(done);
      const came = below.events.length;
      if (came < wanted)
        throw new Broken(`it acknowledged ${done.length} events and gave ${came} of ${wanted} for them`);
    },
  },
  {
    id: "leave/after-acks",
    title: "leaves only after everything that it sent is acknowledged, without a deadline",
    fix: "On Topology.leaving keep serving until each group has acknowledged every event; there is no grace period. Only then say the end.",
    types: producers,
    feature: "leaving",
    needs: ["leave/ends", "publish/sends"],
    async run(bench) {
      await bench.launch();
      const isProcessor = bench.facts.type === "processor";
      const below = bench.below({ credit: { ...plenty, ...(isProcessor ? {} : { maxSequence: 3 }) } });
      const stream = isProcessor ? await bench.subscribed() : undefined;
      const events = await bench.produce(3);
      await bench.arrived(below, Math.max(3, bench.expectedOutputs(events)));
      leave(bench);
      await bench.quiet(() => endSeen(bench, [below], "while it was leaving and events were unacknowledged"));
      below.acknowledge = true;
      below.grant(plenty);
      below.ackAll();
      await leavesAsCompleted(bench, "after the last ack");
      await hasEnd(bench, below);
      if (stream !== undefined && stream.acked < events.length)
        throw new Broken(`it left after it had acknowledged ${stream.acked} of ${events.length} events`);
    },
  },
  {
    id: "leave/position",
    title: "leaves only after its position is stored",
    fix: "On Topology.leaving call SaveCheckpoint after the last ack, and say the end once it is answered.",
    types: sources,
    feature: "leaving",
    needs: ["leave/after-acks", "checkpoint/after-ack"],
    async run(bench) {
      const { controlPlane } = bench;
      await bench.launch();
      const below = bench.below({ credit: { maxSequence: 3, maxBytes: plenty.maxBytes } });
      await bench.arrived(below, 3);
      controlPlane.withholdCheckpoints = true;
      leave(bench);
      below.acknowledge = true;
      below.grant(plenty);
      below.ackAll();
      await bench.until(
        () => controlPlane.withheld > 0,
        () => endSeen(bench, [below], "without having stored its position") ?? "it has not called SaveCheckpoint",
        { mayExit: true },
      );
      await bench.quiet(() => endSeen(bench, [below], "before SaveCheckpoint was answered"));
      controlPlane.storeWithheld();
      await leavesAsCompleted(bench, "after its position was stored");
    },
  },
];

function leave(bench: Bench): void {
  const above = bench.facts.type === "source" ? [] : [bench.above];
  bench.controlPlane.announce(bench.topology(above, { leaving: true }));
}

/** Whoever is below has to be told the end; what was under way when the program exited may still come. */
async function hasEnd(bench: Bench, below: TestDownstream): Promise<void> {
  await bench.happens(() => below.endOfStream !== undefined, bench.timing.quietMs);
  if (below.endOfStream === undefined)
    throw new Broken(`it sent no EndOfStream to ${below.instanceId} before it exited`);
}

/** Feeds it without a pause: one that goes on taking events never comes to its end. */
async function feedUntilLeft(bench: Bench, stream: UpstreamStream) {
  const fed: ReturnType<Bench["fresh"]> = [];
  const isOver = () => stream.ended || bench.component?.exit() !== undefined;
  const next = () => {
    const mayHave = !isOver() && stream.room > 0 && stream.sent - stream.acked < 8;
    if (mayHave) {
      const events = bench.fresh(1);
      fed.push(...events);
      stream.send(events);
    }
    return isOver();
  };
  if (!(await bench.happens(next, bench.timing.stepMs)))
    throw new Broken(`it has not closed its side of its stream, and acknowledged ${stream.acked} events meanwhile`);
  return fed;
}
