import { isOutage } from "../foundation/outage.ts";
import { MAX_BATCH_EVENTS } from "../streams/member.ts";
import { type ReceivedEvent, settle, settleAll } from "../streams/received-event.ts";
import type { SinkDefinition, SinkHandlers } from "./component.ts";
import { OnError } from "./on-error.ts";
import { aborted, finish, type Outcome, type Runtime } from "./runtime.ts";
import { isStopped, stoppedError, untilStopped } from "./stopped.ts";

const DEFAULT_MAX_BYTES = 4 * 1024 * 1024;

/** Runs a sink until every upstream has ended, or until it is told to stop. */
export async function runSink(definition: SinkDefinition<unknown>, runtime: Runtime): Promise<Outcome> {
  const handlers = await definition.open(runtime.context);
  try {
    runtime.started();
    await Promise.race([untilStopped(writeAll(definition, handlers, runtime)), aborted(runtime.deadline)]);
    const ended = !runtime.stopping.aborted;
    return await finish(runtime, ended, () => runtime.inlet!.close(runtime.deadline));
  } finally {
    await handlers.close?.();
  }
}

async function writeAll(definition: SinkDefinition<unknown>, handlers: SinkHandlers, runtime: Runtime): Promise<void> {
  const { stopping, log } = runtime;
  const inlet = runtime.inlet!;
  const onError = new OnError({ ...runtime, policy: runtime.onError, signal: stopping });
  const maxEvents = definition.batch?.maxEvents ?? MAX_BATCH_EVENTS;
  const maxBytes = definition.batch?.maxBytes ?? DEFAULT_MAX_BYTES;
  let rest: readonly ReceivedEvent[] = [];
  while (!stopping.aborted && !(inlet.finished && rest.length === 0)) {
    const { batch, remaining } = gather(rest, () => inlet.take(), maxEvents, maxBytes);
    rest = remaining;
    if (batch.length === 0) {
      await inlet.ready();
      continue;
    }
    if (log.debugging) {
      for (const event of batch)
        log.debug("received event", { id: event.id, type: event.type, upstream: event.upstream });
    }
    try {
      await handlers.write(batch);
    } catch (error) {
      await oneByOne(batch, error, handlers, onError, runtime);
      continue;
    }
    settleAll(batch);
  }
}

/** Takes what is there, up to the limits; at least one event when there is any. */
function gather(
  rest: readonly ReceivedEvent[],
  take: () => readonly ReceivedEvent[] | undefined,
  maxEvents: number,
  maxBytes: number,
): { batch: readonly ReceivedEvent[]; remaining: readonly ReceivedEvent[] } {
  let chunk: readonly ReceivedEvent[] | undefined = rest.length > 0 ? rest : take();
  // What came together and nearly fills a batch is one: putting it together anew with others would gain nothing.
  if (chunk !== undefined && chunk.length > maxEvents / 2 && chunk.length <= maxEvents && sizeOf(chunk) <= maxBytes)
    return { batch: chunk, remaining: [] };
  const batch: ReceivedEvent[] = [];
  let bytes = 0;
  while (chunk !== undefined) {
    for (let i = 0; i < chunk.length; i++) {
      const event = chunk[i]!;
      if (batch.length >= maxEvents || (batch.length > 0 && bytes + event.size > maxBytes)) {
        return { batch, remaining: chunk.slice(i) };
      }
      batch.push(event);
      bytes += event.size;
    }
    chunk = batch.length < maxEvents ? take() : undefined;
  }
  return { batch, remaining: [] };
}

function sizeOf(events: readonly ReceivedEvent[]): number {
  let bytes = 0;
  for (let i = 0; i < events.length; i++) bytes += events[i]!.size;
  return bytes;
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
  if (isStopped(error, runtime.stopping)) throw stoppedError("a batch was given up as the component stops");
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
