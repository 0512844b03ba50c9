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

interface Held {
  readonly operation: Operation;
  /** Instances of which no new program has registered yet. */
  readonly renewed: Set<string>;
  /** Those of them whose program of before may still end, and since when, in Unix milliseconds. */
  readonly ending: Map<string, number>;
  readonly end: AbortController;
}

/**
 * At most one command changes a pipeline at a time. It holds the operation as long as its connection lasts, so that one
 * that was killed holds up nobody.
 */
export class Operations {
  readonly #clock: Pick<Clock, "now">;
  readonly #onRelease: (renewed: ReadonlySet<string>) => void;
  /** Whoever held it last, or still does. */
  #last: Pick<Operation, "number" | "name"> | undefined;
  #current: Held | undefined;

  /** `onRelease` is called, with the instances that were being renewed, whenever an operation is over. */
  constructor(clock: Pick<Clock, "now">, onRelease: (renewed: ReadonlySet<string>) => void) {
    this.#clock = clock;
    this.#onRelease = onRelease;
  }

  get current(): Operation | undefined {
    return this.#current?.operation;
  }

  /**
   * Throws `control/operation-under-way` while another one is, unless it is to be taken over, and `control/changed-since` when one with
   * a greater number than `unchangedSince` was begun; 0 does not ask.
   */
  hold(name: OperationName, takeOver: boolean, unchangedSince = 0): Operation {
    const before = this.#current;
    if (unchangedSince !== 0 && this.#last !== undefined && this.#last.number > unchangedSince)
      throw changedSince(this.#last.name);
    if (before !== undefined) {
      if (!takeOver) throw operationUnderWay(before.operation.name, this.#clock.now() - before.operation.since);
      this.#release(before);
      before.end.abort(operationTakenOver(name));
    }
    const renewed = new Set<string>();
    const end = new AbortController();
    const number = Math.max((this.#last?.number ?? 0) + 1, this.#clock.now());
    this.#last = { number, name };
    const operation: Operation = {
      number,
      name,
      since: this.#clock.now(),
      takenOver: end.signal,
      renewed,
      release: () => {
        if (this.#current === held) this.#release(held);
      },
    };
    const held: Held = { operation, renewed, ending: new Map(), end };
    this.#current = held;
    return operation;
  }

  /**
   * Throws `control/operation-taken-over` when somebody has begun another operation since that one: what its command still asks for
   * is not wanted any more. 0 stands for nobody who holds one.
   */
  require(number: number): void {
    if (number !== 0 && this.#last !== undefined && this.#last.number > number)
      throw operationTakenOver(this.#last.name);
  }

  /** Their end is no crash until they have started again, or the operation is over. Does nothing when there is none. */
  renew(instanceIds: readonly string[]): void {
    for (const id of instanceIds) {
      this.#current?.renewed.add(id);
      this.#current?.ending.set(id, this.#clock.now());
    }
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

  #release({ renewed }: Held): void {
    this.#current = undefined;
    this.#onRelease(renewed);
  }
}
