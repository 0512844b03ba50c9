import { FlowctlError } from "../foundation/errors.ts";
import type { KeptPipeline } from "../protocol/records.ts";
import { forgetKept, forgetLatest, keepHealthy, keepLatest } from "./kept-state.ts";
import type { Registry } from "./registry.ts";
import type { StateWriter } from "./state-writer.ts";

/** More than this is refused: the control plane has to stay small. In bytes. */
const MOST = 1 << 20;

/**
 * What commands have carried out, as they wrote it: the last one, and the last that was seen to work, for a later command to go
 * back to. Nothing here knows what is in it.
 */
export class KeptPipelines {
  readonly #registry: Pick<Registry, "pipeline" | "operations">;
  readonly #writer: StateWriter;
  #kept: KeptPipeline;
  /** Instances of the latest that had still to be started anew when it was kept, and when that was. */
  #renewed: ReadonlySet<string> = new Set();
  #since = 0;
  #works = false;

  constructor(registry: Pick<Registry, "pipeline" | "operations">, writer: StateWriter, kept: KeptPipeline) {
    this.#registry = registry;
    this.#writer = writer;
    this.#kept = kept;
  }

  get current(): KeptPipeline {
    return this.#kept;
  }

  /** Nothing (no bytes) is to forget everything. Throws `control/too-large` (kind invalid). */
  keep(content: Uint8Array, now: number): void {
    if (content.length === 0) {
      this.#kept = {};
      forgetKept(this.#writer);
      return;
    }
    if (content.length > MOST) {
      throw new FlowctlError({
        code: "control/too-large",
        kind: "invalid",
        message: `the pipeline has ${content.length} bytes; at most ${MOST} can be kept for a rollback`,
      });
    }
    this.#kept = { ...this.#kept, latest: content };
    this.#renewed = new Set(this.#registry.operations.current?.renewed);
    this.#since = now;
    this.#works = false;
    keepLatest(this.#writer, content);
    this.refresh();
  }

  /** A command is about to change what runs: the latest is not what runs any more. */
  applied(): void {
    const { latest: _, ...rest } = this.#kept;
    this.#kept = rest;
    forgetLatest(this.#writer);
  }

  /** To be called when instances have changed: notices when the latest works. */
  refresh(): void {
    const { latest } = this.#kept;
    if (latest === undefined || this.#works) return;
    const { state, components } = this.#registry.pipeline();
    if (state !== "running" && state !== "completed") return;
    const instances = components.flatMap((component) => component.instances);
    // One that is about to be replaced is still the one before.
    if (instances.some(({ id, registeredAt }) => this.#renewed.has(id) && registeredAt < this.#since)) return;
    this.#works = true;
    this.#kept = { latest, healthy: latest };
    keepHealthy(this.#writer, latest);
  }
}
