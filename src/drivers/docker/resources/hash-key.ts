import { randomBytes } from "node:crypto";
import { pack } from "tar-stream";
import { DATA_DIRECTORY } from "../container/container-spec.ts";
import { putArchive } from "../container/containers.ts";
import { controlPlaneName } from "../container/control-plane-container.ts";
import { readFileIn } from "../container/deliver-files.ts";
import type { Engine } from "../engine/engine.ts";

/** In the volume of the control plane, whose root file system cannot be written. */
const NAME = "hash.key";
const LENGTH = 32;

/**
 * Keys of the digests that stand for values of secrets in labels, by pipeline. Each is in the volume of its pipeline's control plane,
 * which every flowctl on the engine can read, and who only sees labels cannot. A new one is as if every secret had changed.
 */
export class HashKeys {
  readonly #keys = new Map<string, Uint8Array>();

  /** The key of a pipeline: that of its control plane, else the one that the next control plane is going to be given. */
  async find(engine: Engine, pipeline: string, signal: AbortSignal): Promise<Uint8Array> {
    const there = await readFileIn(engine, controlPlaneName(pipeline), `${DATA_DIRECTORY}/${NAME}`, signal);
    const key = there?.byteLength === LENGTH ? there : (this.#keys.get(pipeline) ?? randomBytes(LENGTH));
    this.#keys.set(pipeline, key);
    return key;
  }

  /** Puts the key of a pipeline into the container of its control plane, which was created and not started. */
  async deliver(engine: Engine, pipeline: string, container: string, signal: AbortSignal): Promise<void> {
    const key = this.#keys.get(pipeline);
    if (key === undefined) return;
    const archive = pack();
    archive.entry({ name: NAME, mode: 0o400, uid: 0, gid: 0 }, Buffer.from(key));
    archive.finalize();
    await putArchive(engine, container, DATA_DIRECTORY, archive, signal);
  }
}
