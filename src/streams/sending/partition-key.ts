import type { EventView } from "../../protocol/event-view.ts";

/** Reads the key of an event. Never throws: an event without one has the empty key, like all others without. */
export type KeyReader = (event: EventView) => string;

/**
 * Compiles a path such as `payload.customer.id`, `metadata.tenant`, `type` or `id` to a reader. A value that is not a
 * string is taken as its JSON.
 */
export function compileKey(path: string): KeyReader {
  const [head, ...rest] = path.split(".");
  switch (head) {
    case "id":
      return guard((event) => event.id);
    case "type":
      return guard((event) => event.type);
    case "metadata":
      return guard((event) => event.metadata[rest.join(".")] ?? "");
    default: {
      const keys = head === "payload" ? rest : [head!, ...rest];
      return guard((event) => textOf(descend(event.json(), keys)));
    }
  }
}

function guard(read: KeyReader): KeyReader {
  return (event) => {
    try {
      return read(event);
    } catch {
      // A payload that is no JSON, or damaged: the consumer will say so; here it only has no key.
      return "";
    }
  };
}

function descend(value: unknown, keys: readonly string[]): unknown {
  let at = value;
  for (const key of keys) {
    if (typeof at !== "object" || at === null) return undefined;
    at = (at as Record<string, unknown>)[key];
  }
  return at;
}

function textOf(value: unknown): string {
  if (value === undefined || value === null) return "";
  return typeof value === "string" ? value : JSON.stringify(value);
}
