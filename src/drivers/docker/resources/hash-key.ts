import { randomBytes } from "node:crypto";
import { pack } from "tar-stream";
import { DATA_DIRECTORY } from "../container/container-spec.ts";
import { putArchive } from "../container/containers.ts";
import { controlPlaneName } from "../container/control-plane-container.ts";
import { readFileIn } from "../container/deliver-files.ts";
import { engineAccessName } from "../container/engine-access-container.ts";
import type { Engine } from "../engine/engine.ts";

/** In the folder of the data of a container whose root file system cannot be written. */
const NAME = "hash.key";
const LENGTH = 32;

/**
 * Keys of the digests that stand for values of secrets in labels, by pipeline. Each is in the volumes of its pipeline's control plane and of its
 * engine access, which every flowctl on the engine can read through these containers, and who only sees labels cannot: where one of them
 * is gone, the other has it. With a new one nobody can tell whether a secret has changed.
 */
export class HashKeys {
  readonly #keys = new Map<string, Uint8Array>();

  /** The key of a pipeline; where it has none (any more), the one that its next control plane is going to be given. */
  async find(engine: Engine, pipeline: string, signal: AbortSignal): Promise<Uint8Array> {
    const key =
      (await keyIn(engine, controlPlaneName(pipeline), signal)) ??
      (await keyIn(engine, engineAccessName(pipeline), signal)) ??
      this.#keys.get(pipeline) ??
      randomBytes(LENGTH);
    this.#keys.set(pipeline, key);
    return key;
  }

  /** Puts the key of a pipeline into the container of its control plane or engine access, which was created and not started. */
  async deliver(engine: Engine, pipeline: string, container: string, signal: AbortSignal): Promise<void> {
    const key = this.#keys.get(pipeline);
    if (key === undefined) return;
    const archive = pack();
    archive.entry({ name: NAME, mode: 0o400, uid: 0, gid: 0 }, Buffer.from(key));
    archive.finalize();
    await putArchive(engine, container, DATA_DIRECTORY, archive, signal);
  }
}

async function keyIn(engine: Engine, container: string, signal: AbortSignal): Promise<Uint8Array | undefined> {
  const key = await readFileIn(engine, container, `${DATA_DIRECTORY}/${NAME}`, signal);
  return key?.byteLength === LENGTH ? key : undefined;
}
