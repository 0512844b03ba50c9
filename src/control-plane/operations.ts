import type { Clock } from "../foundation/clock.ts";
import type { OperationName } from "../protocol/records.ts";
import { changedSince, operationTakenOver, operationUnderWay } from "./registry-errors.ts";

/** A command that is changing the pipeline. */
export interface Operation {
  /** Grows from one operation to the next, over restarts of the control plane too. */
  readonly number: number;
  readonly name: OperationName;
  /** Unix milliseconds. */
  readonly since: number;
  /** Fires, with the error that the command is to end with, when another command has taken over. */
  readonly takenOver: AbortSignal;
  /** Instances that it is about to end and start again. */
  readonly renewed: ReadonlySet<string>;
  /** To be called once, when the command is done or gone. */
  release(): void;
}

/** One that was begun. Plain JSON. */
export interface BegunOperation {
  readonly number: number;
  readonly name: OperationName;
}

/** What outlives the control plane of the operations that there were. Plain JSON. */
export interface KeptOperations {
  readonly last: BegunOperation;
  /** The last one that took over, whether or not there was anybody to take over from: `stop`, `down`, Ctrl-C. */
  readonly takeOver?: BegunOperation;
}

/** Where operations outlive the control plane. */
export interface OperationsStore {
  /** What an earlier one left. */
  readonly kept?: KeptOperations | undefined;
  /** Called when one is begun. Nobody may be told that they hold it before that is kept for good. */
  readonly onBegin?: (kept: KeptOperations) => void;
}

export interface OperationsOptions extends OperationsStore {
  readonly clock: Pick<Clock, "now">;
  /** Called, with the instances that were being renewed, whenever an operation is over. */
  readonly onRelease: (renewed: ReadonlySet<string>) => void;
}

/** When the plan was made for which an operation is begun. */
export interface Planned {
  /** In the operation of that number; 0 does not ask. */
  readonly unchangedSince?: number;
  /** So many milliseconds ago, where no operation was held; 0 does not ask. */
  readonly unchangedForMs?: number;
}

interface Held {
  readonly operation: Operation;
  /** Instances of which no new program has registered yet. */
  readonly renewed: Set<string>;
  /** Those of them whose program of before may still end, and since when, in Unix milliseconds. */
  readonly ending: Map<string, number>;
  /** By instance: who asked last for it to be renewed. */
  readonly renewals: Map<string, object>;
  readonly end: AbortController;
}

/**
 * At most one command changes a pipeline at a time. It holds the operation as long as its connection lasts, so that one
 * that was killed holds up nobody.
 */
export class Operations {
  readonly #options: OperationsOptions;
  /** Whoever held it last, or still does, in this life of the control plane or an earlier one. */
  #kept: KeptOperations | undefined;
  #current: Held | undefined;

  constructor(options: OperationsOptions) {
    this.#options = options;
    this.#kept = options.kept;
  }

  get current(): Operation | undefined {
    return this.#current?.operation;
  }

  /**
   * Throws `control/operation-under-way` while another one is, unless it is to be taken over. When another one was begun since the
   * plan was made: `control/operation-taken-over` where that took over, since what was planned before is not wanted any more, else
   * `control/changed-since`.
   */
  hold(name: OperationName, takeOver: boolean, planned: Planned = {}): Operation {
    const { clock } = this.#options;
    const before = this.#current;
    this.#refuseChanged(planned);
    if (before !== undefined) {
      if (!takeOver) throw operationUnderWay(before.operation.name, clock.now() - before.operation.since);
      this.#release(before);
      before.end.abort(operationTakenOver(name));
    }
    const renewed = new Set<string>();
    const end = new AbortController();
    const last = { number: Math.max((this.#kept?.last.number ?? 0) + 1, clock.now()), name };
    this.#kept = { ...this.#kept, last, ...(takeOver ? { takeOver: last } : {}) };
    this.#options.onBegin?.(this.#kept);
    const operation: Operation = {
      ...last,
      since: clock.now(),
      takenOver: end.signal,
      renewed,
      release: () => {
        if (this.#current === held) this.#release(held);
      },
    };
    const held: Held = { operation, renewed, ending: new Map(), renewals: new Map(), end };
    this.#current = held;
    return operation;
  }

  /**
   * Throws `control/operation-taken-over` when somebody has begun another operation since that one: what its command still asks for
   * is not wanted any more. 0 stands for nobody who holds one.
   */
  require(number: number): void {
    const last = this.#kept?.last;
    if (number !== 0 && last !== undefined && last.number > number) throw operationTakenOver(last.name);
  }

  /**
   * Their end is no crash until they have started again, or the operation is over. Does nothing when there is none. To be called what is
   * returned once nothing is being done to them any more: what was still being started until then is not the new program. For those
   * that were asked for once more meanwhile that does nothing: their new program may be there.
   */
  renew(instanceIds: readonly string[]): () => void {
    const held = this.#current;
    const renewal = {};
    const mark = (id: string): void => {
      held?.renewed.add(id);
      held?.ending.set(id, this.#options.clock.now());
    };
    for (const id of instanceIds) {
      held?.renewals.set(id, renewal);
      mark(id);
    }
    return () => {
      if (this.#current !== held) return;
      for (const id of instanceIds) if (held?.renewals.get(id) === renewal) mark(id);
    };
  }

  /** A program of the instance was started at that time. Where that is the new one, its end is a crash, whether or not it registers first. */
  startedOne(instanceId: string, at: number): void {
    const since = this.#current?.ending.get(instanceId);
    if (since !== undefined && at >= since) this.#current?.ending.delete(instanceId);
  }

  /** Whether the end of an instance is meant: a command is about to start it again, and has not yet. */
  isEnding(instanceId: string): boolean {
    return this.#current?.ending.has(instanceId) ?? false;
  }

  /** A new program of the instance is there: its end is a crash again. */
  renewedOne(instanceId: string): void {
    this.#current?.renewed.delete(instanceId);
    this.#current?.ending.delete(instanceId);
  }

  #refuseChanged({ unchangedSince = 0, unchangedForMs = 0 }: Planned): void {
    const asked = unchangedSince !== 0 || unchangedForMs !== 0;
    if (!asked || this.#kept === undefined) return;
    const since = unchangedSince !== 0 ? unchangedSince : this.#options.clock.now() - unchangedForMs;
    const { last, takeOver } = this.#kept;
    if (takeOver !== undefined && takeOver.number > since) throw operationTakenOver(takeOver.name);
    if (last.number > since) throw changedSince(last.name);
  }

  #release({ renewed }: Held): void {
    this.#current = undefined;
    this.#options.onRelease(renewed);
  }
}
