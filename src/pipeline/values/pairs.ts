/** What `environment`, `labels` and the like can be. */
export type Pairs = Readonly<Record<string, string | number | boolean | null>> | readonly string[];

/** Name and value, null where none is given; the last of equal names wins. */
export function pairsOf(pairs: Pairs | undefined): ReadonlyMap<string, string | null> {
  if (pairs === undefined) return new Map();
  if (Array.isArray(pairs)) {
    return new Map(
      pairs.map((item: string) => {
        const at = item.indexOf("=");
        return at === -1 ? [item, null] : [item.slice(0, at), item.slice(at + 1)];
      }),
    );
  }
  return new Map(Object.entries(pairs).map(([key, value]) => [key, value === null ? null : String(value)]));
}

/** As a record; a name without a value has an empty one. */
export function recordOf(pairs: Pairs | undefined): Readonly<Record<string, string>> {
  return Object.fromEntries([...pairsOf(pairs)].map(([key, value]) => [key, value ?? ""]));
}
