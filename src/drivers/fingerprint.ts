import { createHash } from "node:crypto";

/** A hash of a configuration and of each of its named parts. */
export interface Fingerprint {
  readonly hash: string;
  readonly parts: Readonly<Record<string, string>>;
}

/**
 * Hashes plain data so that equal data gives equal hashes, whatever the order of its keys. `undefined` values count as
 * absent. Parts are 12 hex digits of SHA-256, the hash of all of them 16.
 */
export function fingerprint(parts: Readonly<Record<string, unknown>>): Fingerprint {
  const hashed: Record<string, string> = {};
  for (const name of Object.keys(parts).sort()) {
    if (parts[name] !== undefined) hashed[name] = digest(canonical(parts[name]), 12);
  }
  return { hash: digest(canonical(hashed), 16), parts: hashed };
}

function digest(text: string, length: number): string {
  return createHash("sha256").update(text).digest("hex").slice(0, length);
}

function canonical(value: unknown): string {
  return JSON.stringify(value, (_key, inner: unknown) => {
    if (inner === null || typeof inner !== "object" || Array.isArray(inner)) return inner;
    return Object.fromEntries(Object.entries(inner).sort(([a], [b]) => (a < b ? -1 : a > b ? 1 : 0)));
  });
}
