import { type Bench, componentId, describeExit } from "../bench.ts";

import type { EventMessage } from "../messages.ts";
import type { UpstreamStream } from "../test-upstream.ts";
import { Broken } from "../waiting.ts";
import { type Check, consumers } from "./check.ts";
import { acknowledgedUpTo, acknowledgesAll, acknowledgingDownstream } from "./steps.ts";

/** The first of the pauses before a further attempt, in milliseconds. */
const backoffMs = 400;
/** What chance leaves of a pause at least, and a little for timers that are early. */
const leastShare = 0.45;
const backoff = { seconds: 0, nanos: backoffMs * 1e6 };

/** What becomes of an event that cannot be processed. */
export const failingChecks: readonly Check[] = [
  {
    id: "fail/retries",
    title: "tries an event that it cannot process again, after a growing pause, and then fails with it unacknowledged",
    fix: "With ACTION_RETRY try OnError.retries times more, after backoff, twice backoff and so on, and count each in retries. Then deregister with FAILED, say why in the last line on stderr, and exit with another code than 0.",
    types: consumers,
    feature: "on_error",
    needs: ["ack/all"],
    async run(bench) {
      const bad = bench.unprocessable(1);
      const onError = { action: "ACTION_RETRY", retries: 2, backoff } as const;
      await bench.launch({ onError });
      acknowledgingDownstream(bench);
      const stream = await bench.feed(bad);
      const began = performance.now();
      const exit = await exitOf(bench, stream);
      const took = performance.now() - began;
      if (exit.code === 0)
        throw new Broken(`it exited with ${describeExit(exit)} after an event that it cannot process`);
      if (stream.acked > 0) throw new Broken("it acknowledged an event that it could not process, and then failed");
      const word = bench.controlPlane.deregistrations.at(-1);
      if (word?.reason !== "DEREGISTER_REASON_FAILED")
        throw new Broken(
          `it ended with ${word?.reason ?? "no DeregisterComponent"}, not with DEREGISTER_REASON_FAILED`,
        );
      const { retries = 0 } = word.metrics ?? bench.controlPlane.heartbeats.at(-1)?.metrics ?? {};
      if (retries !== 2) throw new Broken(`with 2 retries it counted ${retries}`);
      const least = backoffMs * 3 * leastShare;
      if (took < least)
        throw new Broken(`it tried 2 times more within ${Math.round(took)} ms, with a backoff of ${backoffMs} ms`);
      if (!bench.component?.errorOutput().some((line) => line.trim() !== ""))
        throw new Broken("it wrote nothing to stderr about the event that it cannot process");
    },
  },
  {
    id: "fail/drops",
    title: "drops an event that it cannot process where it is told to, and goes on",
    fix: "With ACTION_DROP acknowledge the event once the retries are used up, give nothing for it, and count it in events_failed and events_dropped.",
    types: consumers,
    feature: "on_error",
    needs: ["ack/all"],
    async run(bench) {
      const bad = bench.unprocessable(1);
      await bench.launch({ onError: { action: "ACTION_DROP", retries: 1, backoff: { seconds: 0, nanos: 1e6 } } });
      const below = acknowledgingDownstream(bench);
      const events = [...bench.fresh(1), ...bad, ...bench.fresh(1)];
      await acknowledgesAll(bench, events);
      await counts(bench, { eventsFailed: 1, eventsDropped: 1, retries: 1 });
      if (below?.ids.includes(bad[0]!.id)) throw new Broken("it gave on an event that it is to drop");
    },
  },
  {
    id: "fail/dead-letter",
    title: "sends an event that it cannot process, as it came, to the group for dead letters, and says why",
    fix: "With ACTION_DEAD_LETTER send the event to the group that has dead_letters, with its payload and metadata, flowctl.dead_letter.reason, .component, .upstream, .attempts and .time added, and acknowledge it once that is acknowledged. A sink serves EventStream for that, and registers its address.",
    types: consumers,
    feature: "dead_letters",
    needs: ["ack/all"],
    async run(bench) {
      const [bad] = bench.unprocessable(1) as [EventMessage];
      const groups = [{ id: "below" }, { id: "rejected", deadLetters: true }];
      const onError = {
        action: "ACTION_DEAD_LETTER",
        to: "rejected",
        retries: 1,
        backoff: { seconds: 0, nanos: 1e6 },
      } as const;
      await bench.launch({ groups, onError });
      if (bench.facts.type === "sink") {
        const said = () => bench.controlPlane.registrations.at(-1)?.address;
        await bench.until(
          () => said() === bench.listen,
          () => `with somebody below it registered the address "${said()}" instead of "${bench.listen}"`,
        );
      }
      const below = acknowledgingDownstream(bench);
      const rejected = bench.below({ group: "rejected" });
      const stream = await bench.feed([{ ...bad, metadata: { ...bad.metadata, kept: "as it came" } }]);
      await bench.arrived(rejected, 1);
      await bench.quiet(() => stream.acked > 0 && "it acknowledged an event whose dead letter was not acknowledged");
      await bench.quiet(
        () => (below?.ids.includes(bad.id) ?? false) && "it gave on an event that goes to the dead letters",
      );
      isLetterOf(bad, rejected.events[0]!);
      rejected.acknowledge = true;
      rejected.ackAll();
      await acknowledgedUpTo(bench, stream, stream.sent);
      await counts(bench, { eventsFailed: 1, deadLetters: 1, retries: 1 });
      await acknowledgesAll(bench, bench.fresh(1));
    },
  },
];

async function exitOf(bench: Bench, stream: UpstreamStream) {
  return await bench.until(
    () => bench.component?.exit(),
    () =>
      stream.acked > 0
        ? "it acknowledged an event that it cannot process, and goes on"
        : "it has not exited after an event that it cannot process",
    { mayExit: true, timeoutMs: bench.timing.stepMs * 2 },
  );
}

type Total = "eventsFailed" | "eventsDropped" | "deadLetters" | "retries";

async function counts(bench: Bench, wanted: Partial<Record<Total, number>>): Promise<void> {
  for (const [total, number] of Object.entries(wanted) as [Total, number][]) {
    const said = () => bench.controlPlane.heartbeats.at(-1)?.metrics?.[total] ?? 0;
    await bench.until(
      () => said() === number,
      () => `its heartbeats have ${said()} as ${total}, after ${number}`,
    );
  }
}

function isLetterOf(event: EventMessage, letter: EventMessage): void {
  if (!Buffer.from(letter.payload).equals(Buffer.from(event.payload)))
    throw new Broken("a dead letter has another payload than the event");
  const { metadata } = letter;
  if (metadata.kept !== "as it came") throw new Broken("a dead letter lacks the metadata of the event");
  const wanted = { component: componentId, upstream: "above", attempts: "2" };
  for (const [key, value] of Object.entries(wanted)) {
    const said = metadata[`flowctl.dead_letter.${key}`];
    if (said !== value)
      throw new Broken(`a dead letter has flowctl.dead_letter.${key} "${said ?? ""}" instead of "${value}"`);
  }
  if (!metadata["flowctl.dead_letter.reason"]) throw new Broken("a dead letter has no flowctl.dead_letter.reason");
  if (Number.isNaN(Date.parse(metadata["flowctl.dead_letter.time"] ?? "")))
    throw new Broken(
      `flowctl.dead_letter.time is "${metadata["flowctl.dead_letter.time"] ?? ""}", not a time in ISO 8601`,
    );
}
