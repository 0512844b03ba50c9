/**
 * Which instance of a group gets the events of a key, as docs/reference/protocol.md says it. Deliberately apart from
 * flowctl's own code, so that the two can disagree.
 */
export function ownerOf(key: string, instanceIds: readonly string[]): string | undefined {
  const slot = hash(key) % 1024;
  const [heaviest] = instanceIds
    .map((id) => ({ id, weight: hash(`${slot}/${id}`) }))
    .sort((a, b) => b.weight - a.weight || (a.id < b.id ? -1 : 1));
  return heaviest?.id;
}

/** 32 bits, unsigned. */
export function hash(text: string): number {
  const mask = 0xffffffffn;
  let value = 0x811c9dc5n;
  for (let index = 0; index < text.length; index += 1) {
    value = ((value ^ BigInt(text.charCodeAt(index))) * 0x01000193n) & mask;
  }
  value = ((value ^ (value >> 16n)) * 0x85ebca6bn) & mask;
  value = ((value ^ (value >> 13n)) * 0xc2b2ae35n) & mask;
  return Number((value ^ (value >> 16n)) & mask);
}
