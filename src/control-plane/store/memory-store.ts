import type { Store } from "./store.ts";

/** A store that lives and dies with the process: what `--no-persistence` asks for. */
export function createMemoryStore(): Store {
  const values = new Map<string, Uint8Array>();
  return {
    async entries(prefix) {
      return [...values].filter(([key]) => key.startsWith(prefix)).sort(([a], [b]) => (a < b ? -1 : a > b ? 1 : 0));
    },
    async write(changes) {
      for (const change of changes) {
        if (change.type === "put") values.set(change.key, change.value);
        else values.delete(change.key);
      }
    },
    async close() {},
  };
}
