import type { Driver, ObservedResource, Prerequisite, ProgressSink, ResourceKey } from "../drivers/driver.ts";
import type { Clock } from "../foundation/clock.ts";
import { FlowctlError } from "../foundation/errors.ts";
import type { Plan } from "../planner/plan.ts";
import { standing } from "../planner/prerequisites.ts";

export interface PrerequisiteWatchOptions {
  readonly driver: Pick<Driver, "observe">;
  readonly clock: Clock;
  readonly progress: ProgressSink;
  readonly pollIntervalMs?: number;
}

/**
 * How long a prerequisite may be missing, in milliseconds: whoever replaces it at the same moment takes it away and makes it
 * anew. Steps of the same plan that make it are done before it is looked for.
 */
const MISSING_AT_MOST = 10_000;

type Observation = ReadonlyMap<ResourceKey, ObservedResource>;

/** Waits for prerequisites by observing the pipeline again and again: one observation for all that wait. */
export class PrerequisiteWatch {
  readonly #plan: Plan;
  readonly #options: PrerequisiteWatchOptions;
  readonly #signal: AbortSignal;
  readonly #said = new Map<ResourceKey, string>();
  #soon: Promise<Observation> | undefined;
  #later: Promise<Observation> | undefined;

  constructor(plan: Plan, options: PrerequisiteWatchOptions, signal: AbortSignal) {
    this.#plan = plan;
    this.#options = options;
    this.#signal = signal;
  }

  /**
   * Resolves when every prerequisite holds. Rejects with `planner/prerequisite-failed` as soon as one cannot hold any
   * more, with `planner/prerequisite-gone` (kind conflict) when one is not there for 10 s, and with kind `cancelled` when
   * the signal fires.
   */
  async met(prerequisites: readonly Prerequisite[], subject: ResourceKey): Promise<void> {
    const { clock } = this.#options;
    let open = prerequisites;
    let thereAt = clock.elapsed();
    const restarts = new Map<ResourceKey, number>();
    for (let first = true; open.length > 0; first = false) {
      const observed = await this.#observe(first);
      const missing = open.find(({ key }) => !observed.has(key));
      if (missing === undefined) thereAt = clock.elapsed();
      else if (clock.elapsed() - thereAt >= MISSING_AT_MOST) throw this.#gone(missing.key, subject);
      const still: Prerequisite[] = [];
      for (const prerequisite of open) {
        const resource = observed.get(prerequisite.key);
        const state = resource?.state;
        if (state !== undefined && "restarts" in state && !restarts.has(prerequisite.key)) {
          restarts.set(prerequisite.key, state.restarts);
        }
        const now = standing(prerequisite.condition, resource, restarts.get(prerequisite.key));
        if (now.kind === "met") this.#say(prerequisite, observed);
        else if (now.kind === "pending") {
          this.#report(prerequisite.key, "working", now.text);
          still.push(prerequisite);
        } else {
          this.#report(prerequisite.key, "failed", now.reason);
          throw new FlowctlError({
            code: "planner/prerequisite-failed",
            kind: "failed",
            message: `${subject} cannot start: ${now.reason}`,
            fix: now.fix,
          });
        }
      }
      open = still;
    }
  }

  #gone(key: ResourceKey, subject: ResourceKey): FlowctlError {
    this.#report(key, "failed", "Gone");
    const { pipeline } = this.#plan;
    return new FlowctlError({
      code: "planner/prerequisite-gone",
      kind: "conflict",
      message: `${subject} cannot start: ${key} does not exist or was removed in the meantime`,
      fix: `Run \`flowctl up\` for the whole pipeline ${pipeline} once no other command is changing it`,
    });
  }

  #say(prerequisite: Prerequisite, observed: Observation): void {
    const state = observed.get(prerequisite.key)?.state;
    if (!this.#said.has(prerequisite.key) || state?.status !== "running") return;
    if (state.health === "healthy") this.#report(prerequisite.key, "done", "Healthy");
    else this.#report(prerequisite.key, "done", "Started");
  }

  #report(key: ResourceKey, status: "working" | "done" | "failed", text: string): void {
    if (this.#said.get(key) === text) return;
    this.#said.set(key, text);
    this.#options.progress({ subject: key, status, text });
  }

  /**
   * An observation that begins after this call, so that it never shows what a step just finished has changed as it was
   * before. Those that ask at the same time share one; a first look is not delayed.
   */
  #observe(immediately: boolean): Promise<Observation> {
    const { clock, pollIntervalMs = 200 } = this.#options;
    if (immediately) {
      this.#soon ??= Promise.resolve().then(() => {
        this.#soon = undefined;
        return this.#look();
      });
      return this.#soon;
    }
    this.#later ??= clock.sleep(pollIntervalMs, this.#signal).then(() => {
      this.#later = undefined;
      return this.#look();
    });
    return this.#later;
  }

  async #look(): Promise<Observation> {
    const observed = await this.#options.driver.observe(this.#plan.pipeline, this.#signal);
    return new Map(observed.map((resource) => [resource.key, resource]));
  }
}
