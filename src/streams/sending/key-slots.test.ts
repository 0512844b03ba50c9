import { readFileSync } from "node:fs";
import { describe, expect, it } from "vitest";
import { KeySlots } from "./key-slots.ts";
import type { Member } from "./member.ts";

const page = readFileSync(new URL("../../../docs/reference/protocol.md", import.meta.url), "utf8");
const row = /^\| (?:`(.+)`)? *\| (\d+) \| (\d+) \| `(ledger-\d)` \| `(ledger-\d)` \|$/gm;
const vectors = [...page.matchAll(row)].map(([, key = "", ...rest]) => [key, ...rest] as const);

function owner(key: string, ...instanceIds: readonly string[]): string | undefined {
  const slots = new KeySlots();
  const members = new Map(instanceIds.map((instanceId) => [instanceId, { instanceId } as Member]));
  return slots.memberOf(slots.slotOf(key), members)?.instanceId;
}

describe("the instance that gets a key", () => {
  it("is in the contract", () => expect(vectors.length).toBeGreaterThan(8));

  it.each(vectors)("%j is the one that the contract names", (key, _hash, slot, ofTwo, ofThree) => {
    expect(new KeySlots().slotOf(key)).toBe(Number(slot));
    expect(owner(key, "ledger-1", "ledger-2")).toBe(ofTwo);
    expect(owner(key, "ledger-3", "ledger-2", "ledger-1")).toBe(ofThree);
  });
});
