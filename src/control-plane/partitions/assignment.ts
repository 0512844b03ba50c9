/** What the assignment needs to know of a partition. */
export interface AssignedPartition {
  /** Unique among the component's partitions. */
  readonly key: string;
  /** The instance that reads it, or is to; undefined when nobody does. */
  readonly owner: string | undefined;
  /** Its owner was asked to give it back. */
  readonly revoking: boolean;
  /** The running programs declare it. One that they do not is given to nobody. */
  readonly declared: boolean;
  readonly finished: boolean;
}

/** What the assignment needs to know of the instances. */
export interface InstanceFacts {
  /** Ids of the instances that are to read, in order: all that the pipeline asks for, but for those that have completed. */
  readonly wanted: readonly string[];
  /** Whether an instance could begin to read at once. */
  isReady(instance: string): boolean;
  /** Whether nothing of an instance reads any more: it has ended, or was never there. */
  isGone(instance: string): boolean;
}

/** One change of who reads a partition. */
export type AssignmentStep =
  /** It is now this instance's. The instance is told once that is durable. */
  | { readonly type: "assign"; readonly key: string; readonly owner: string }
  /** Its owner is to give it back. */
  | { readonly type: "revoke"; readonly key: string }
  /** Nobody declares it, and nobody reads it. */
  | { readonly type: "forget"; readonly key: string };

/**
 * Who is to read which partition: every wanted instance as many as any other, give or take one, and as few as possible move.
 * A partition changes hands only when its owner has given it back, or is gone: it never has two owners. One that nobody
 * reads is also given to an instance that is still to come, so that instances which start one after the other need not pass
 * anything on; from an owner that reads it, it is taken only for one that is ready.
 */
export function nextSteps(partitions: readonly AssignedPartition[], facts: InstanceFacts): readonly AssignmentStep[] {
  const targets = targetsOf(
    partitions.filter(({ declared }) => declared),
    facts.wanted,
  );
  const steps: AssignmentStep[] = [];
  for (const { key, owner, revoking, declared, finished } of partitions) {
    const target = targets.get(key);
    const isFree = owner === undefined || finished || facts.isGone(owner);
    if (!declared) {
      if (isFree) steps.push({ type: "forget", key });
      else if (!revoking) steps.push({ type: "revoke", key });
    } else if (finished || target === undefined || (owner === target && !revoking)) {
      // It stays as it is.
    } else if (isFree) {
      steps.push({ type: "assign", key, owner: target });
    } else if (!revoking && (facts.isReady(target) || !facts.wanted.includes(owner))) {
      steps.push({ type: "revoke", key });
    }
  }
  return steps;
}

/** By key. Partitions stay where they are as far as the shares are equal; the others go to whoever has the fewest. */
function targetsOf(
  partitions: readonly AssignedPartition[],
  instances: readonly string[],
): ReadonlyMap<string, string | undefined> {
  const targets = new Map<string, string | undefined>();
  if (instances.length === 0) return targets;
  const kept = new Map<string, string[]>(instances.map((instance) => [instance, []]));
  for (const { key, owner, revoking } of partitions) {
    if (owner !== undefined && !revoking) kept.get(owner)?.push(key);
  }
  const least = Math.floor(partitions.length / instances.length);
  let larger = partitions.length % instances.length;
  // Whoever has the most keeps one more than the others.
  const shares = new Map<string, number>();
  for (const instance of instances.toSorted((a, b) => kept.get(b)!.length - kept.get(a)!.length)) {
    shares.set(instance, least + (larger-- > 0 ? 1 : 0));
  }
  const loads = new Map<string, number>();
  for (const instance of instances) {
    const keys = kept.get(instance)!.slice(0, shares.get(instance));
    for (const key of keys) targets.set(key, instance);
    loads.set(instance, keys.length);
  }
  for (const { key } of partitions) {
    if (targets.has(key)) continue;
    const open = instances.filter((instance) => loads.get(instance)! < shares.get(instance)!);
    const next = open.reduce((a, b) => (loads.get(b)! < loads.get(a)! ? b : a));
    targets.set(key, next);
    loads.set(next, loads.get(next)! + 1);
  }
  return targets;
}
