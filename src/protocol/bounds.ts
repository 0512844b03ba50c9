import { invalidMessage } from "./wire-values.ts";

/*
 * How large what others say may be: the control plane remembers some of it for each instance, and more of it in its log of events,
 * and its memory must not be theirs to fill. What nobody honest exceeds is refused; a text for people is cut.
 */

/** Of an id: pipelines, components, instances, incarnations, groups. In UTF-16 units, as all of these. */
const MAX_ID = 255;
/** Of `host:port`. */
const MAX_ADDRESS = 1024;
/** Of all the texts of a list or a map, and how many they may be. */
const MAX_TEXTS = 64 * 1024;
const MAX_ENTRIES = 1024;
/** Of what is said for people. */
const MAX_WORDS = 4096;

/** Throws `protocol/invalid-message` for an id that is empty or too long. */
export function requireId(id: string, field: string): void {
  if (id === "") throw invalidMessage(field, `${field} is empty`);
  if (id.length > MAX_ID) throw invalidMessage(field, `${field} is longer than ${MAX_ID} characters`);
}

/** Throws `protocol/invalid-message` for an address that is too long to be one. */
export function requireAddress(address: string, field: string): void {
  if (address.length > MAX_ADDRESS) throw invalidMessage(field, `${field} is longer than ${MAX_ADDRESS} characters`);
}

/** Throws `protocol/invalid-message` for too many texts, or texts that are too long together. */
export function requireFew(texts: readonly string[], field: string): void {
  if (texts.length > MAX_ENTRIES) throw invalidMessage(field, `${field} has more than ${MAX_ENTRIES} entries`);
  const length = texts.reduce((sum, text) => sum + text.length, 0);
  if (length > MAX_TEXTS) throw invalidMessage(field, `${field} has more than ${MAX_TEXTS} characters`);
}

/** The same for both sides of a map. */
export function requireSmall(map: Readonly<Record<string, unknown>>, field: string): void {
  requireFew(Object.keys(map), field);
  requireFew(
    Object.values(map).filter((value) => typeof value === "string"),
    field,
  );
}

/** The beginning of a text for people. */
export function shortened(words: string): string {
  return words.length <= MAX_WORDS ? words : `${words.slice(0, MAX_WORDS)}…`;
}
