import { FlowctlError } from "../foundation/errors.ts";
import { publishFrom, type ReceivedEvent, settle } from "../streams/receiving/received-event.ts";
import type { ProcessorDefinition, ProcessorEmit, ProcessorHandlers } from "./component.ts";
import type { Event, EventInit } from "./event.ts";
import { OnError } from "./on-error.ts";
import { isForwarded } from "./output.ts";
import { aborted, finish, flagOf, type Outcome, type Runtime } from "./runtime.ts";
import { untilStopped } from "./stopped.ts";
import { TimeSlice } from "./time-slice.ts";

const READY = Promise.resolve();

/** The outputs of one attempt at an input: numbers them, and ties their acknowledgement to the input's. */
class Outputs {
  input: ReceivedEvent | undefined;
  count = 0;
  private readonly runtime: Runtime;
  readonly emit: ProcessorEmit;

  constructor(runtime: Runtime) {
    this.runtime = runtime;
    this.emit = (event) => this.send(event);
  }

  /** Starts over with this input. */
  begin(input: ReceivedEvent): void {
    this.input = input;
    this.count = 0;
  }

  /** The attempt is over: nothing more can be made from the input by it. */
  end(): void {
    this.input = undefined;
  }

  /** For another attempt: whoever still holds the `emit` of this one can do nothing with it. */
  again(input: ReceivedEvent): Outputs {
    this.end();
    const outputs = new Outputs(this.runtime);
    outputs.begin(input);
    return outputs;
  }

  private send(event: Event | EventInit): Promise<void> {
    const { publisher, encoder, log } = this.runtime;
    const { input } = this;
    if (input === undefined) return Promise.reject(tooLate());
    try {
      const view = isForwarded(event) ? event : encoder.derived(event, input, this.count);
      this.count++;
      if (log.debugging) log.debug("sending event", { id: view.id, type: view.type, bytes: view.size });
      publishFrom(input, view, publisher);
      return publisher.room() ?? READY;
    } catch (error) {
      return Promise.reject(error);
    }
  }
}

function tooLate(): FlowctlError {
  return new FlowctlError({
    code: "sdk/emit-too-late",
    kind: "invalid",
    message:
      "the processor emitted an event after process returned: the input may already be acknowledged, so the output may be lost",
    fix: "await everything that emits, or return its promise from process",
  });
}

/** Runs a processor until every upstream has ended, or until it is told to stop. */
export async function runProcessor(definition: ProcessorDefinition<unknown>, runtime: Runtime): Promise<Outcome> {
  const handlers = await definition.open(runtime.context);
  const inlet = runtime.inlet!;
  try {
    runtime.started();
    const work =
      (definition.concurrency ?? 1) > 1
        ? parallel(handlers, runtime, definition.concurrency!)
        : oneByOne(handlers, runtime);
    await Promise.race([untilStopped(work), aborted(runtime.deadline)]);
    const ended = !runtime.halted.aborted;
    return await finish(runtime, ended, () => inlet.close(runtime.deadline));
  } finally {
    await handlers.close?.();
  }
}

/** The common case: one event after the other, without a promise where the author needs none. */
async function oneByOne(handlers: ProcessorHandlers, runtime: Runtime): Promise<void> {
  const { stopping, publisher, counters, log } = runtime;
  const inlet = runtime.inlet!;
  const onError = new OnError({ ...runtime, policy: runtime.onError, signal: stopping });
  let outputs = new Outputs(runtime);
  const slice = new TimeSlice();
  const stop = flagOf(stopping);
  while (!stop.raised && !inlet.finished) {
    const batch = inlet.take();
    if (batch === undefined) {
      await inlet.ready();
      slice.restart();
      continue;
    }
    for (let i = 0; i < batch.length; i++) {
      if (stop.raised) return;
      const event = batch[i]!;
      if (log.debugging) log.debug("received event", { id: event.id, type: event.type, upstream: event.upstream });
      outputs.begin(event);
      let processed = true;
      let waited = false;
      try {
        const pending = handlers.process(event, outputs.emit);
        // Nothing has to be awaited for an author who returns what `emit` gave and there was room.
        if (pending !== undefined && pending !== READY) {
          waited = true;
          await pending;
        }
      } catch (error) {
        waited = true;
        outputs.end();
        processed = await onError.handle(event, error, async () => {
          outputs = outputs.again(event);
          await handlers.process(event, outputs.emit);
        });
      }
      if (processed && outputs.count === 0) counters.filtered++;
      settle(event);
      outputs.end();
      // What the author forgot to wait for may come while the next is worked on, if that waits as well: it is not the next one's.
      if (waited) outputs = new Outputs(runtime);
      const room = publisher.room();
      if (room !== undefined) await room;
      if (slice.over()) await slice.pause();
    }
    // Not in the middle of a batch, whose views would outlive the young generation.
    if (slice.full) await slice.pause();
  }
}

async function parallel(handlers: ProcessorHandlers, runtime: Runtime, concurrency: number): Promise<void> {
  const { stopping, publisher, counters, log } = runtime;
  const inlet = runtime.inlet!;
  const onError = new OnError({ ...runtime, policy: runtime.onError, signal: stopping });
  const running = new Set<Promise<void>>();
  const slice = new TimeSlice();
  let failure: { readonly error: unknown } | undefined;
  const handle = async (event: ReceivedEvent): Promise<void> => {
    if (log.debugging) log.debug("received event", { id: event.id, type: event.type, upstream: event.upstream });
    let outputs = new Outputs(runtime);
    const attempt = async (): Promise<void> => {
      outputs = outputs.again(event);
      await handlers.process(event, outputs.emit);
    };
    try {
      const processed = await attempt().then(
        () => true,
        (error: unknown) => {
          outputs.end();
          return onError.handle(event, error, attempt);
        },
      );
      if (processed && outputs.count === 0) counters.filtered++;
      settle(event);
    } catch (error) {
      failure ??= { error };
    }
    outputs.end();
  };
  while (!stopping.aborted && failure === undefined && !inlet.finished) {
    const batch = inlet.take();
    if (batch === undefined) {
      await inlet.ready();
      slice.restart();
      continue;
    }
    for (const event of batch) {
      if (stopping.aborted || failure !== undefined) break;
      if (!publisher.hasRoom) await publisher.room();
      const task: Promise<void> = handle(event).finally(() => running.delete(task));
      running.add(task);
      if (running.size >= concurrency) await Promise.race(running);
      if (slice.over()) await slice.pause();
    }
  }
  await Promise.all(running);
  if (failure !== undefined) throw failure.error;
}
