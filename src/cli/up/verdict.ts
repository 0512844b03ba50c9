import { type Plan, resourceOf } from "../../planner/plan.ts";
import type { PipelineRecord, PipelineState } from "../../protocol/records.ts";

/**
 * Tells whether a pipeline's final state is one of this start, or still the one from before: a pipeline that had
 * completed and is started again says `completed` until its instances register anew.
 */
export class FreshVerdict {
  readonly #touched: ReadonlySet<string>;
  readonly #startedAt: number;
  #fresh: boolean;

  constructor(before: PipelineRecord | undefined, plan: Plan, startedAt: number) {
    this.#startedAt = startedAt;
    this.#touched = new Set(
      plan.steps
        .filter(({ change }) => change.action !== "remove" && change.action !== "stop")
        .map(({ change }) => resourceOf(change))
        .filter(({ kind }) => kind === "component")
        .map(({ owner, index }) => `${owner}-${index}`),
    );
    this.#fresh = before === undefined || !isFinal(before.state) || this.#touched.size === 0;
  }

  /** `completed` or `failed` once the record says so of this start. */
  of(record: PipelineRecord): "completed" | "failed" | undefined {
    if (!this.#fresh) {
      const instances = record.components.flatMap((component) => component.instances);
      const anew = [...this.#touched].every((id) =>
        instances.some((instance) => instance.id === id && instance.registeredAt >= this.#startedAt),
      );
      this.#fresh = anew || !isFinal(record.state) || (record.finishedAt ?? 0) >= this.#startedAt;
    }
    return this.#fresh && isFinal(record.state) ? record.state : undefined;
  }
}

function isFinal(state: PipelineState): state is "completed" | "failed" {
  return state === "completed" || state === "failed";
}
