import type { InstanceData, InstanceEntry } from "./instance.ts";

/** All instances that the registry knows, by component and number. Entries are immutable and replaced as a whole. */
export class InstanceTable {
  readonly #components = new Map<string, Map<string, InstanceEntry>>();

  get(componentId: string, instanceId: string): InstanceEntry | undefined {
    return this.#components.get(componentId)?.get(instanceId);
  }

  set(entry: InstanceEntry): void {
    const { componentId, id } = entry.data;
    const known = this.#components.get(componentId);
    if (known?.has(id)) {
      known.set(id, entry);
      return;
    }
    const sorted = [...(known?.values() ?? []), entry].sort((a, b) => compareInstanceIds(a.data.id, b.data.id));
    this.#components.set(componentId, new Map(sorted.map((other) => [other.data.id, other])));
  }

  /** Returns whether it was there. */
  delete(componentId: string, instanceId: string): boolean {
    return this.#components.get(componentId)?.delete(instanceId) ?? false;
  }

  /** The instances of one component, in the order of their numbers. */
  of(componentId: string): readonly InstanceEntry[] {
    return [...(this.#components.get(componentId)?.values() ?? [])];
  }

  dataOf(componentId: string): readonly InstanceData[] {
    return this.of(componentId).map((entry) => entry.data);
  }

  all(): readonly InstanceEntry[] {
    return [...this.#components.values()].flatMap((instances) => [...instances.values()]);
  }
}

/** The same, for whoever only looks. */
export type KnownInstances = Omit<InstanceTable, "set" | "delete">;

/** The number at the end of an instance id such as `enrich-2`; 0 when there is none. */
export function instanceNumber(instanceId: string): number {
  return Number(/-(\d+)$/.exec(instanceId)?.[1] ?? 0);
}

function compareInstanceIds(a: string, b: string): number {
  return instanceNumber(a) - instanceNumber(b) || (a < b ? -1 : a > b ? 1 : 0);
}
