import type { ComponentType } from "../pipeline/pipeline.ts";
import { Bench } from "./bench.ts";
import type { EventMessage } from "./messages.ts";
import type { Protocol } from "./protocol.ts";
import { probablyFailing, sampleMessage } from "./sample-events.ts";
import type { Facts, ProductiveSample, Subject } from "./subject.ts";
import { Broken } from "./waiting.ts";

/** More samples than this are not tried one by one. */
const maxSamples = 20;
/** A source that has given so many is taken to have no end. */
const manyEvents = 1_000;

/** What the component says that it is, from a first registration. Throws Broken when it does not say. */
export async function detectType(subject: Subject, protocol: Protocol, signal: AbortSignal): Promise<ComponentType> {
  // As a processor it finds everything around it that any type needs.
  const bench = new Bench(subject, factsOf("processor"), protocol, () => {}, signal);
  try {
    const { type } = await bench.launch({ untyped: true });
    const named = (["source", "processor", "sink"] as const).find(
      (name) => type === `COMPONENT_TYPE_${name.toUpperCase()}`,
    );
    if (named === undefined) throw new Broken("it registered without a type, and none was given to the test");
    return named;
  } catch (error) {
    throw withOutput(error, bench);
  } finally {
    await bench.dispose();
  }
}

/**
 * Runs the component once and looks what it makes of the samples, or gives by itself. Throws Broken when it does not
 * register; judges nothing else: whatever goes wrong later is found, named and explained by a check.
 */
export async function explore(
  type: ComponentType,
  subject: Subject,
  protocol: Protocol,
  signal: AbortSignal,
): Promise<Facts> {
  const bench = new Bench(subject, factsOf(type), protocol, () => {}, signal);
  const productive: ProductiveSample[] = [];
  let features: readonly string[] = [];
  let { failing } = subject;
  try {
    features = (await bench.launch()).features;
    // A pipeline that asks for more than a component supports is refused before it gets there.
    if (features.includes("on_error")) {
      const onError = { action: "ACTION_DROP", retries: 0 } as const;
      bench.controlPlane.announce(bench.topology(type === "source" ? [] : [bench.above], { onError }));
    }
    if (type === "source") return { ...(await watchSource(bench)), features };
    if (type === "processor") await trySamples(bench, subject, productive);
    // Last, as it may be the end of the program.
    if (features.includes("on_error") || features.includes("dead_letters")) failing ??= await tryToFail(bench);
  } catch (error) {
    if (!(error instanceof Broken) || bench.controlPlane.registrations.length === 0) throw withOutput(error, bench);
  } finally {
    await bench.dispose();
  }
  return { ...factsOf(type), productive, features, ...(failing === undefined ? {} : { failing }) };
}

/** Returns an event that the component has been seen to fail at, where what is tried first makes it do so. */
async function tryToFail(bench: Bench): Promise<EventMessage | undefined> {
  const event = sampleMessage(probablyFailing);
  const count = () => bench.controlPlane.heartbeats.at(-1)?.metrics?.eventsFailed ?? 0;
  // Samples may have failed as well: what was made up before they were dealt with does not tell.
  const told = bench.controlPlane.heartbeats.length;
  await bench.happens(() => bench.controlPlane.heartbeats.length >= told + 2, bench.timing.settleMs);
  const failedBefore = count();
  const stream = await bench.feed([{ ...event, id: "first-run-failing" }]);
  const failed = () => count() > failedBefore || !bench.isRunning;
  await bench.happens(() => stream.acked >= stream.sent || failed() || stream.ended, bench.timing.settleMs);
  // One heartbeat may have been made up before it was dealt with.
  const before = bench.controlPlane.heartbeats.length;
  await bench.happens(() => failed() || bench.controlPlane.heartbeats.length >= before + 2, bench.timing.settleMs);
  return failed() ? event : undefined;
}

async function watchSource(bench: Bench): Promise<Facts> {
  const below = bench.below({ acknowledge: true });
  await bench.happens(() => below.events.length > 0 || below.ended !== undefined, bench.timing.stepMs);
  const enough = () => below.events.length >= maxSamples || below.endOfStream !== undefined;
  for (let before = -1; before < below.events.length && !enough(); ) {
    before = below.events.length;
    await bench.happens(enough, bench.timing.settleMs);
  }
  const endless = () => below.events.length >= manyEvents || below.endOfStream !== undefined;
  await bench.happens(endless, bench.timing.settleMs);
  return {
    ...factsOf("source"),
    produced: Math.min(below.events.length, maxSamples),
    finite: below.endOfStream !== undefined,
  };
}

async function trySamples(bench: Bench, subject: Subject, productive: ProductiveSample[]): Promise<void> {
  const below = bench.below({ acknowledge: true });
  for (const [index, event] of subject.samples.slice(0, maxSamples).entries()) {
    const before = below.events.length;
    const stream = await bench.feed([{ ...event, id: `first-run-${index + 1}` }]);
    const answered = () => below.events.length > before || stream.acked >= stream.sent || stream.ended;
    await bench.happens(answered, bench.timing.settleMs);
    await bench.happens(() => stream.acked >= stream.sent, bench.timing.settleMs);
    // One that acknowledges before it gives has its outputs still on the way.
    if (below.events.length === before) await bench.happens(() => below.events.length > before, bench.timing.quietMs);
    const outputs = below.events.length - before;
    if (outputs > 0) productive.push({ event, outputs });
  }
}

function withOutput(error: unknown, bench: Bench): unknown {
  if (error instanceof Broken) {
    error.output = bench.component?.output().slice(-10) ?? [];
    error.hasJoined = (bench.identity?.joined ?? 0) > 0;
    const { component } = bench;
    const exit = component?.exit();
    if (component !== undefined && exit !== undefined && !bench.controlPlane.wasCalled)
      error.earlyEnd = { exit, component };
  }
  return error;
}

function factsOf(type: ComponentType): Facts {
  return { type, productive: [], produced: 0, finite: false, features: [] };
}
