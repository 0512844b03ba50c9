import { type Bench, describeExit } from "../bench.ts";
import type { EventMessage } from "../messages.ts";
import type { TestDownstream } from "../test-downstream.ts";
import type { TestUpstream, UpstreamStream } from "../test-upstream.ts";
import { Broken } from "../waiting.ts";

/** A downstream that takes and acknowledges everything; none for a sink, which has nothing below it. */
export function acknowledgingDownstream(bench: Bench): TestDownstream | undefined {
  return bench.facts.type === "sink" ? undefined : bench.below({ acknowledge: true });
}

/** Feeds the events and waits until all are acknowledged. */
export async function acknowledgesAll(
  bench: Bench,
  events: readonly EventMessage[],
  upstream?: TestUpstream,
): Promise<UpstreamStream> {
  const stream = await bench.feed(events, upstream);
  await acknowledgedUpTo(bench, stream, stream.sent);
  return stream;
}

/** Waits until the component has acknowledged everything up to `sequence`. */
export async function acknowledgedUpTo(
  bench: Bench,
  stream: UpstreamStream,
  sequence: number,
  timeoutMs = bench.timing.stepMs,
): Promise<void> {
  await bench.until(
    () => stream.acked >= sequence || (stream.ended && stream.nacks + stream.acked < sequence),
    () =>
      `it acknowledged ${stream.acked} of ${sequence} events${stream.nacks > 0 ? ` (and nacked ${stream.nacks})` : ""}`,
    { timeoutMs },
  );
  if (stream.acked < sequence)
    throw new Broken(`its stream ended with ${stream.acked} of ${sequence} events acknowledged`);
}

/**
 * Ends the data of one instance above, and waits until the component has closed its side of the stream: what the control plane says
 * next comes by another connection, and a component that hears it first may hang up before it has read the end.
 */
export async function endStream(bench: Bench, upstream: TestUpstream = bench.above): Promise<void> {
  const stream = await bench.subscribed(upstream);
  stream.end();
  await bench.happens(() => stream.ended, bench.timing.stepMs);
}

/** Ends the data of every given upstream, as instances do that have completed: on the stream, then in the topology. */
export async function endUpstream(bench: Bench, upstream: TestUpstream = bench.above): Promise<void> {
  await endStream(bench, upstream);
  bench.controlPlane.announce(bench.topology([upstream], { completed: [upstream], allCompleted: true }));
}

/** A second instance comes above, gives something, ends, and is left out of the topology, as one is that was scaled away. */
export async function scaleAway(bench: Bench): Promise<void> {
  await bench.subscribed();
  const second = bench.newUpstream("above-2");
  await second.start();
  bench.controlPlane.announce(bench.topology([bench.above, second], { desired: 2 }));
  acknowledgingDownstream(bench);
  await acknowledgesAll(bench, bench.fresh(2), second);
  await endStream(bench, second);
  bench.controlPlane.announce(bench.topology([bench.above]));
}

/** Waits until the component has deregistered as completed and exited with 0. */
export async function leavesAsCompleted(bench: Bench, when: string): Promise<void> {
  await leaves(bench, ["DEREGISTER_REASON_COMPLETED"], when, bench.timing.stepMs);
}

/** Waits until the component has deregistered with one of the given reasons and exited with 0. */
export async function leaves(bench: Bench, reasons: readonly string[], when: string, timeoutMs: number): Promise<void> {
  const exit = await bench.exited(timeoutMs, when);
  const word = bench.controlPlane.deregistrations.at(-1);
  if (exit.code !== 0) throw new Broken(`it exited with ${describeExit(exit)} ${when}, not with code 0`);
  if (word === undefined) throw new Broken(`it exited ${when} without DeregisterComponent`);
  if (!reasons.includes(word.reason)) {
    throw new Broken(`it deregistered with ${word.reason} ${when}, not with ${reasons.join(" or ")}`);
  }
}
