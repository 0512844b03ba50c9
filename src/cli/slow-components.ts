import type { ComponentRecord, InstanceMetrics, InstanceRecord, PipelineRecord } from "../protocol/records.ts";

/** Share of time an upstream was blocked, from which on what holds it up counts as slow. */
const HELD_UP = 0.1;

/** More of what a component has taken than this is with itself, and not with those below: it is the slow one. */
const OWN_SHARE = 0.5;

/** A component that others wait for: it is slow, or none of its instances works. */
export interface SlowComponent {
  readonly id: string;
  /** The component above that was held up most, and the share of time in which it was blocked, 0 to 1. */
  readonly holdsUp: string;
  readonly share: number;
  /** Events that were sent to it, or wait to be, and that it has not acknowledged. */
  readonly waiting: number;
  /** Whether any of its instances works. Where none does, it is not slow: it takes nothing at all. */
  readonly works: boolean;
}

/**
 * The components that others wait for, the slowest first. Nobody acknowledges before those below have, so all that is
 * above a slow component has as much unacknowledged as the slow one. It is found on the way down from who is held up: the
 * first that has what it took with itself, and not with those below.
 */
export function slowComponents(record: PipelineRecord): readonly SlowComponent[] {
  const flow = new Flow(record);
  const found = new Map<string, SlowComponent>();
  for (const { id, instances } of record.components) {
    const share = Math.max(0, ...instances.map(({ metrics }) => metrics.backpressure));
    if (share < HELD_UP) continue;
    const slow = flow.causeOf(id);
    const known = slow === undefined ? undefined : found.get(slow.id);
    if (slow === undefined || (known !== undefined && known.share >= share)) continue;
    const works = record.components.some((one) => one.id === slow.id && one.instances.some(isWorking));
    found.set(slow.id, { ...slow, holdsUp: id, share, works });
  }
  return [...found.values()].sort((a, b) => b.share - a.share);
}

function isWorking({ state }: InstanceRecord): boolean {
  return state === "healthy" || state === "degraded";
}

/** What one component owes another. */
interface Owed {
  readonly id: string;
  readonly waiting: number;
}

class Flow {
  readonly #components: ReadonlyMap<string, ComponentRecord>;

  constructor(record: PipelineRecord) {
    this.#components = new Map(record.components.map((component) => [component.id, component]));
  }

  /** Who holds up `id`, which cannot send; undefined when at this moment nothing waits. */
  causeOf(id: string): Owed | undefined {
    let [next] = this.#below(id);
    for (let slow = next; slow !== undefined; slow = next) {
      next = this.#isSlow(slow.id) ? undefined : this.#holding(slow.id);
      if (next === undefined) return slow;
    }
    return undefined;
  }

  /** Whether what the component has taken and not acknowledged is mostly its own to do. */
  #isSlow(id: string): boolean {
    const held = this.#total(id, "inFlight");
    return held - (this.#holding(id)?.waiting ?? 0) / this.#perEvent(id) > held * OWN_SHARE;
  }

  /** The one below that holds most of what `id` has passed on. */
  #holding(id: string): Owed | undefined {
    const heldUp = this.#metrics(id).some(({ backpressure }) => backpressure >= HELD_UP);
    const possible = 2 * this.#total(id, "inFlight") * this.#perEvent(id);
    // Only a buffer on disk takes more than is held above it; while it has room, it holds nobody up.
    return this.#below(id).find(({ waiting }) => heldUp || waiting <= possible);
  }

  /** How many events it gives for each that it does not take away: one can be a hundred below, or a hundredth. */
  #perEvent(id: string): number {
    const turned = this.#total(id, "eventsIn") - this.#total(id, "eventsFiltered");
    return (turned > 0 ? this.#total(id, "eventsOut") / turned : 1) || 1;
  }

  /** What those below have not acknowledged to `id`, the most first. */
  #below(id: string): readonly Owed[] {
    const waiting = new Map<string, number>();
    for (const metrics of this.#metrics(id)) {
      for (const [to, count] of Object.entries(metrics.waiting)) waiting.set(to, (waiting.get(to) ?? 0) + count);
    }
    const ids = new Set([...waiting.keys(), ...(this.#components.get(id)?.connections.downstream ?? [])]);
    return [...ids]
      .map((to) => ({ id: to, waiting: (waiting.get(to) ?? 0) + this.#takenFrom(id, to) }))
      .filter((owed) => owed.waiting > 0)
      .sort((a, b) => b.waiting - a.waiting);
  }

  /** What `to` has in flight of `from`: its part of all that those above have sent. */
  #takenFrom(from: string, to: string): number {
    // Who does not answer said last what it had before it stopped; it may have taken all since.
    if (this.#components.get(to)?.state === "unhealthy") return this.#total(from, "inFlight");
    const above = this.#components.get(to)?.connections.upstream ?? [];
    const sent = above.reduce((sum, id) => sum + this.#total(id, "eventsOut"), 0);
    const part = sent === 0 ? 1 : this.#total(from, "eventsOut") / sent;
    return Math.round(this.#total(to, "inFlight") * part);
  }

  #metrics(id: string): readonly InstanceMetrics[] {
    return this.#components.get(id)?.instances.map(({ metrics }) => metrics) ?? [];
  }

  #total(id: string, key: "inFlight" | "eventsIn" | "eventsOut" | "eventsFiltered"): number {
    return this.#metrics(id).reduce((sum, metrics) => sum + metrics[key], 0);
  }
}
