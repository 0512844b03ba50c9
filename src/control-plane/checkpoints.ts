import { FlowctlError } from "../foundation/errors.ts";
import type { InstanceReference } from "../protocol/registry-codec.ts";
import { checkpointKey } from "./kept-state.ts";
import type { StateWriter } from "./state-writer.ts";

/** Largest position that a source may store, in bytes. */
export const maxCheckpointBytes = 1024 * 1024;

/** The sources' positions, one an instance. */
export class Checkpoints {
  readonly #writer: StateWriter;
  readonly #positions: Map<string, Uint8Array>;

  constructor(writer: StateWriter, kept: ReadonlyMap<string, Uint8Array>) {
    this.#writer = writer;
    this.#positions = new Map(kept);
  }

  /** The last durable position of an instance. */
  get(instance: InstanceReference): Uint8Array | undefined {
    return this.#positions.get(checkpointKey(instance));
  }

  /** Resolves when the position survives a crash of the machine. Positions of one instance are applied in order. */
  async save(instance: InstanceReference, position: Uint8Array): Promise<void> {
    if (position.byteLength > maxCheckpointBytes) {
      throw new FlowctlError({
        code: "registry/checkpoint-too-large",
        kind: "invalid",
        message: `the position of ${instance.instanceId} has ${position.byteLength} bytes; ${maxCheckpointBytes} are allowed`,
        fix: "Keep large state in the component's state directory and store a reference to it.",
      });
    }
    const key = checkpointKey(instance);
    this.#writer.put(key, () => position);
    await this.#writer.durable();
    this.#positions.set(key, position);
  }
}
