import type { AssignmentMessage, CheckpointMessage, RegisterMessage } from "./messages.ts";

/**
 * What a source shares between its instances, in the eyes of a control plane that knows one instance: all of it is that one's.
 * A source that declares nothing is one partition with an empty id.
 */
export class TestPartitions {
  #declared: RegisterMessage["partitions"] = [];
  #finished = new Set<string>();
  /** Positions that are stored, and of which partition each is. */
  readonly #partitionOf = new WeakMap<Uint8Array, string>();

  /** Whether the source reads what it is assigned. */
  get isDeclared(): boolean {
    return this.#declared.length > 0;
  }

  /** A program has registered; a new one reads everything anew. */
  registered({ partitions }: RegisterMessage, isNew: boolean): void {
    this.#declared = partitions;
    if (isNew) this.#finished = new Set();
  }

  /** A position is stored, or a partition is finished. */
  saved({ partition, state }: Pick<CheckpointMessage, "partition" | "state">, position: Uint8Array): void {
    this.#partitionOf.set(position, partition);
    if (state === "STATE_FINISHED") this.#finished.add(partition);
  }

  get isFinished(): boolean {
    return this.isDeclared && this.#declared.every(({ id }) => this.#finished.has(id));
  }

  /** What the source is to read; `positions` are those that were stored, the newest last. */
  assignments(positions: readonly Uint8Array[]): AssignmentMessage[] {
    return this.#declared
      .filter(({ id }) => !this.#finished.has(id))
      .map(({ id, identity }) => {
        const position = positions.findLast((one) => this.#partitionOf.get(one) === id);
        return { partition: id, identity, epoch: 1, ...(position === undefined ? {} : { position }) };
      });
  }
}
