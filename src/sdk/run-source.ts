import { FlowctlError, messageOf } from "../foundation/errors.ts";
import { Checkpointer, parsePosition } from "./checkpointer.ts";
import type { SourceDefinition, SourceEmit } from "./component.ts";
import type { EventInit } from "./event.ts";
import { aborted, finish, flagOf, type Outcome, type Runtime } from "./runtime.ts";
import { isStopped, stoppedError } from "./stopped.ts";
import { TimeSlice } from "./time-slice.ts";

const READY = Promise.resolve();

/** Runs a source to its end, or until it is told to stop. */
export async function runSource(definition: SourceDefinition<unknown, unknown>, runtime: Runtime): Promise<Outcome> {
  const { registered, stopping, deadline, log } = runtime;
  const position = registered.checkpoint === undefined ? undefined : storedPosition(registered.checkpoint);
  const handlers = await definition.open({ ...runtime.context, position });
  const checkpointer = new Checkpointer<unknown>({
    registry: runtime.registry,
    clock: runtime.clock,
    log,
    committed: handlers.committed === undefined ? undefined : (reached) => handlers.committed!(reached),
    onFailure: (error) => runtime.fail(error),
  });
  try {
    runtime.started();
    if (position !== undefined) log.info("going on where the last run ended", { position });
    const running = handlers.run(makeEmit(runtime, checkpointer)).catch((error: unknown) => {
      if (!isStopped(error, stopping)) throw error;
    });
    await Promise.race([running, aborted(deadline)]);
    const ended = !stopping.aborted;
    if (ended) log.info("the data has ended; waiting for the last acknowledgements");
    return await finish(runtime, ended, () => checkpointer.flush(deadline));
  } finally {
    await handlers.close?.();
  }
}

function makeEmit(runtime: Runtime, checkpointer: Checkpointer<unknown>): SourceEmit<unknown> {
  const { publisher, encoder, stopping, log } = runtime;
  const stop = flagOf(stopping);
  const slice = new TimeSlice();
  return (event: EventInit, position: unknown): Promise<void> => {
    if (stop.raised) return Promise.reject(stoppedError("the component is stopping and takes no new events"));
    try {
      const view = encoder.original(event, position);
      if (log.debugging) log.debug("sending event", { id: view.id, type: view.type, bytes: view.size });
      publisher.publish(view, checkpointer, checkpointer.track(position));
      const room = publisher.room();
      if (room !== undefined) return room.then(() => slice.restart());
      return slice.over() || slice.full ? slice.pause() : READY;
    } catch (error) {
      return Promise.reject(error);
    }
  };
}

function storedPosition(bytes: Uint8Array): unknown {
  try {
    return parsePosition(bytes);
  } catch (error) {
    throw new FlowctlError({
      code: "sdk/checkpoint-unreadable",
      kind: "invalid",
      message: `the stored position is not JSON: ${messageOf(error)}`,
      fix: "flowctl down -v forgets all positions; the source then starts from the beginning",
      cause: error,
    });
  }
}
