import { FlowctlError } from "../foundation/errors.ts";
import type { Partition } from "../protocol/records.ts";
import { partitionOfKey, positionKey } from "./kept-state.ts";
import type { StateWriter } from "./state-writer.ts";

/** Largest position that a source may store, in bytes. */
export const maxCheckpointBytes = 1024 * 1024;

/** The sources' positions, one for each partition and identity that was ever read. */
export class Checkpoints {
  readonly #writer: StateWriter;
  readonly #positions: Map<string, Uint8Array>;

  constructor(writer: StateWriter, kept: ReadonlyMap<string, Uint8Array>) {
    this.#writer = writer;
    this.#positions = new Map(kept);
  }

  /** The position that was put last. */
  get(componentId: string, partition: Partition): Uint8Array | undefined {
    return this.#positions.get(positionKey(componentId, partition));
  }

  /** What of a component was ever read. */
  of(componentId: string): readonly Partition[] {
    return [...this.#positions.keys()].map(partitionOfKey).filter((partition) => partition.componentId === componentId);
  }

  /** Keeps a position; it is durable when the writer says so. Throws `registry/checkpoint-too-large`. */
  put(componentId: string, partition: Partition, position: Uint8Array): void {
    if (position.byteLength > maxCheckpointBytes) {
      throw new FlowctlError({
        code: "registry/checkpoint-too-large",
        kind: "invalid",
        message: `the position of ${componentId} has ${position.byteLength} bytes; the maximum is ${maxCheckpointBytes}`,
        fix: "Keep large state in the state directory of the component and store a reference to it.",
      });
    }
    const key = positionKey(componentId, partition);
    this.#positions.set(key, position);
    this.#writer.put(key, () => position);
  }
}
