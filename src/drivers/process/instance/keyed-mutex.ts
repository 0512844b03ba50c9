import pLimit, { type LimitFunction } from "p-limit";

/** Runs work on the same key one after the other, in the order of the calls, and work on different keys at once. */
export type KeyedMutex = <T>(key: string, work: () => Promise<T>) => Promise<T>;

export function createKeyedMutex(): KeyedMutex {
  const turns = new Map<string, LimitFunction>();
  return (key, work) => {
    const turn = turns.get(key) ?? pLimit(1);
    turns.set(key, turn);
    return turn(work).finally(() => {
      if (turn.activeCount + turn.pendingCount === 0 && turns.get(key) === turn) turns.delete(key);
    });
  };
}
