import { FlowctlError, hasCode, messageOf } from "../foundation/errors.ts";
import type { Assignment, Partition } from "../protocol/records.ts";
import { Checkpointer, parsePosition } from "./checkpointer.ts";
import type { SourceDefinition, SourceEmit, SourceHandlers } from "./component.ts";
import type { EventInit } from "./event.ts";
import { eventIdPrefix } from "./event-ids.ts";
import { keepPosition } from "./position.ts";
import { aborted, flagOf, type Runtime } from "./runtime.ts";
import { isStopped, stoppedError } from "./stopped.ts";
import { TimeSlice } from "./time-slice.ts";

const READY = Promise.resolve();

/** How the reading of a partition went on: it was given back, it has ended, or the component stops first. */
export type ReaderOutcome = "released" | "finished" | "stopped";

/** Reads one partition, from when it is assigned until it is given back, has ended, or the component stops. */
export class PartitionReader {
  readonly assignment: Assignment;
  private readonly runtime: Runtime;
  private readonly definition: SourceDefinition<unknown, unknown>;
  private readonly revoked = new AbortController();
  /** Fires when nothing more is to be read. */
  private readonly signal: AbortSignal;
  private readonly checkpointer: Checkpointer;
  private handlers: SourceHandlers<unknown> | undefined;

  constructor(definition: SourceDefinition<unknown, unknown>, assignment: Assignment, runtime: Runtime) {
    this.definition = definition;
    this.assignment = assignment;
    this.runtime = runtime;
    this.signal = AbortSignal.any([runtime.stopping, this.revoked.signal]);
    const { partition, identity, epoch } = assignment;
    this.checkpointer = new Checkpointer({
      store: async (state, position, signal) => {
        const save = { partition, identity, epoch, state, ...(position === undefined ? {} : { position }) };
        await runtime.registry.saveCheckpoint(save, signal).catch((error: unknown) => {
          // An answer that was lost: it is given back already.
          if (state !== "released" || !hasCode(error, "registry/not-owner")) throw error;
        });
      },
      clock: runtime.clock,
      log: runtime.log,
      committed: async (reached) => {
        await this.handlers?.committed?.(reached);
      },
      onFailure: (error) => runtime.fail(error),
    });
  }

  /** The partition is to be given back. */
  revoke(): void {
    this.revoked.abort();
  }

  /**
   * Reads, and when that is over waits until everything is acknowledged and says so. Rejects with what the author's code rejected
   * with. `stopped`: what is acknowledged later still counts, by `flush`.
   */
  async read(): Promise<ReaderOutcome> {
    const { runtime, assignment } = this;
    const partition: Partition = { id: assignment.partition, identity: assignment.identity };
    const position = assignment.position === undefined ? undefined : storedPosition(assignment.position);
    const idPrefix = eventIdPrefix(runtime.context.instance.componentId, partition);
    this.handlers = await this.definition.open({
      ...runtime.context,
      signal: this.signal,
      position,
      partition,
      idPrefix,
    });
    if (position !== undefined) {
      runtime.log.info("resuming from the stored position", {
        position,
        ...(partition.id === "" ? {} : { partition: partition.id }),
      });
    }
    await this.handlers.run(this.makeEmit(idPrefix)).catch((error: unknown) => {
      if (!isStopped(error, this.signal)) throw error;
    });
    if (runtime.stopping.aborted) return "stopped";
    const outcome = this.revoked.signal.aborted ? "released" : "finished";
    await Promise.race([this.checkpointer.idle(), aborted(runtime.stopping)]);
    if (runtime.stopping.aborted) return "stopped";
    return (await this.checkpointer.end(outcome, runtime.deadline)) ? outcome : "stopped";
  }

  /** Gives back a partition that was never read here. */
  async release(): Promise<ReaderOutcome> {
    return (await this.checkpointer.end("released", this.runtime.deadline)) ? "released" : "stopped";
  }

  /** Stores what is acknowledged by now. */
  async flush(signal: AbortSignal): Promise<boolean> {
    return await this.checkpointer.flush(signal);
  }

  async close(): Promise<void> {
    const { handlers } = this;
    this.handlers = undefined;
    await handlers?.close?.();
  }

  private makeEmit(idPrefix: string): SourceEmit<unknown> {
    const { publisher, encoder, log } = this.runtime;
    const { checkpointer } = this;
    const stop = flagOf(this.signal);
    const slice = new TimeSlice();
    return (event: EventInit, position: unknown): Promise<void> => {
      if (stop.raised) return Promise.reject(stoppedError("the partition was revoked: no new events are accepted"));
      try {
        const kept = keepPosition(position);
        const view = encoder.original(event, kept, idPrefix);
        if (log.debugging) log.debug("sending event", { id: view.id, type: view.type, bytes: view.size });
        publisher.publish(view, checkpointer, checkpointer.track(kept));
        const room = publisher.room();
        if (room !== undefined) return room.then(() => slice.restart());
        return slice.over() || slice.full ? slice.pause() : READY;
      } catch (error) {
        return Promise.reject(error);
      }
    };
  }
}

function storedPosition(bytes: Uint8Array): unknown {
  try {
    return parsePosition(bytes);
  } catch (error) {
    throw new FlowctlError({
      code: "sdk/checkpoint-unreadable",
      kind: "invalid",
      message: `the stored position is not JSON: ${messageOf(error)}`,
      fix: "Run `flowctl down -v`, which deletes all positions; the source then starts from the beginning",
      cause: error,
    });
  }
}
