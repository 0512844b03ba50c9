import { isOutage } from "../foundation/outage.ts";
import { type ReceivedEvent, settle, settleRun } from "../streams/receiving/received-event.ts";
import type { SinkDefinition, SinkHandlers } from "./component.ts";
import { OnError } from "./on-error.ts";
import { aborted, finish, type Outcome, type Runtime } from "./runtime.ts";
import { isStopped, stoppedError, untilStopped } from "./stopped.ts";

/** What a sink that says nothing of batches is given at once, in events and in bytes. */
const DEFAULT_MAX_EVENTS = 2048;
const DEFAULT_MAX_BYTES = 4 * 1024 * 1024;

/** Runs a sink until every upstream has ended, or until it is told to stop. */
export async function runSink(definition: SinkDefinition<unknown>, runtime: Runtime): Promise<Outcome> {
  const handlers = await definition.open(runtime.context);
  try {
    runtime.started();
    await Promise.race([untilStopped(writeAll(definition, handlers, runtime)), aborted(runtime.deadline)]);
    const ended = !runtime.halted.aborted;
    return await finish(runtime, ended, () => runtime.inlet!.close(runtime.deadline));
  } finally {
    await handlers.close?.();
  }
}

async function writeAll(definition: SinkDefinition<unknown>, handlers: SinkHandlers, runtime: Runtime): Promise<void> {
  const { stopping, log } = runtime;
  const inlet = runtime.inlet!;
  const onError = new OnError({ ...runtime, policy: runtime.onError, signal: stopping });
  const maxEvents = definition.batch?.maxEvents ?? DEFAULT_MAX_EVENTS;
  const maxBytes = definition.batch?.maxBytes ?? DEFAULT_MAX_BYTES;
  let rest: readonly ReceivedEvent[] = [];
  while (!stopping.aborted && !(inlet.finished && rest.length === 0)) {
    const { runs, remaining } = gather(rest, () => inlet.take(), maxEvents, maxBytes);
    rest = remaining;
    if (runs.length === 0) {
      await inlet.ready();
      continue;
    }
    // Of their own, for an author who takes out of it what is written.
    const batch = eventsOf(runs);
    if (log.debugging) {
      for (const event of batch)
        log.debug("received event", { id: event.id, type: event.type, upstream: event.upstream });
    }
    try {
      await handlers.write(batch);
    } catch (error) {
      await oneByOne(eventsOf(runs), error, handlers, onError, runtime);
      continue;
    }
    for (const run of runs) settleRun(run);
  }
}

/** Events that came by one stream, one after the other; at least one. */
type EventRun = readonly ReceivedEvent[];

/** Takes what is there, up to the limits; at least one event when there is any. */
function gather(
  rest: EventRun,
  take: () => EventRun | undefined,
  maxEvents: number,
  maxBytes: number,
): { readonly runs: readonly EventRun[]; readonly remaining: EventRun } {
  const runs: EventRun[] = [];
  let events = 0;
  let bytes = 0;
  let run: EventRun | undefined = rest.length > 0 ? rest : take();
  while (run !== undefined) {
    const size = sizeOf(run);
    if (events + run.length > maxEvents || bytes + size > maxBytes) {
      const count = countFitting(run, maxEvents - events, maxBytes - bytes, runs.length === 0 ? 1 : 0);
      if (count > 0) runs.push(run.slice(0, count));
      return { runs, remaining: run.slice(count) };
    }
    runs.push(run);
    events += run.length;
    bytes += size;
    // What came together and nearly fills a batch is one: putting it together anew with others would gain nothing.
    const isEnough = events >= maxEvents || (runs.length === 1 && events > maxEvents / 2);
    run = isEnough ? undefined : take();
  }
  return { runs, remaining: [] };
}

/** How many of the run have room in a batch that has so much left; `least` of them go there in any case. */
function countFitting(run: EventRun, maxEvents: number, maxBytes: number, least: number): number {
  let count = 0;
  let bytes = 0;
  while (count < maxEvents && count < run.length) {
    bytes += run[count]!.size;
    if (bytes > maxBytes) break;
    count++;
  }
  return Math.max(least, count);
}

function sizeOf(run: EventRun): number {
  let bytes = 0;
  for (let i = 0; i < run.length; i++) bytes += run[i]!.size;
  return bytes;
}

function eventsOf(runs: readonly EventRun[]): ReceivedEvent[] {
  return runs.length === 1 ? runs[0]!.slice() : runs.flat();
}

/**
 * A batch failed: finds the events that are to blame, so that one bad event costs one event. Settles each when it is dealt
 * with: what is written when the component stops must not come again.
 */
async function oneByOne(
  batch: readonly ReceivedEvent[],
  error: unknown,
  handlers: SinkHandlers,
  onError: OnError,
  runtime: Runtime,
): Promise<void> {
  if (isStopped(error, runtime.stopping)) throw stoppedError("a batch was aborted because the component is stopping");
  const { action, retries } = runtime.onError();
  const [only] = batch;
  if (batch.length === 1 && only !== undefined) {
    await onError.handle(only, error, () => handlers.write([only]));
    settle(only);
    return;
  }
  if (action === "fail" && retries === 0) throw error;
  const outage = isOutage(error);
  for (const [index, event] of batch.entries()) {
    const attempt = (): Promise<void> => handlers.write([event]);
    // An outage met the batch as a whole: nobody looks for events to blame before it is over, which the first waits for.
    if (outage && index === 0) await onError.handle(event, error, attempt);
    else await attempt().catch((own: unknown) => onError.handle(event, own, attempt));
    settle(event);
  }
}
