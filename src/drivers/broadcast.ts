/** Hands every value to everybody who listens at that moment. */
export interface Broadcast<T> {
  emit(value: T): void;
  /**
   * Values from the call on, each once, in order; with `since` also those of the recent past that it picks. Ends when
   * the signal fires.
   */
  listen(signal: AbortSignal, since?: (value: T) => boolean): AsyncIterable<T>;
}

/**
 * A broadcast whose listeners never hold up the sender: what they have not taken yet waits in memory. The last
 * `remembered` values are kept for those who come late.
 */
export function createBroadcast<T>(remembered = 0): Broadcast<T> {
  const past: T[] = [];
  const listeners = new Set<(value: T) => void>();
  return {
    emit(value) {
      past.push(value);
      if (past.length > remembered) past.shift();
      for (const listener of listeners) listener(value);
    },
    listen(signal, since = () => false) {
      const waiting: T[] = past.filter(since);
      let wake: (() => void) | undefined;
      const listener = (value: T): void => {
        waiting.push(value);
        wake?.();
      };
      const onAbort = (): void => {
        listeners.delete(listener);
        wake?.();
      };
      if (!signal.aborted) {
        listeners.add(listener);
        signal.addEventListener("abort", onAbort, { once: true });
      }
      return (async function* () {
        try {
          for (;;) {
            while (waiting.length > 0) yield waiting.shift() as T;
            if (signal.aborted) return;
            await new Promise<void>((resolve) => {
              wake = resolve;
            });
          }
        } finally {
          listeners.delete(listener);
          signal.removeEventListener("abort", onAbort);
        }
      })();
    },
  };
}
