import { readFileSync } from "node:fs";
import { describe, expect, it } from "vitest";
import { hash, ownerOf } from "./partition.ts";

const page = readFileSync(new URL("../../docs/reference/protocol.md", import.meta.url), "utf8");
const row = /^\| (?:`(.+)`)? *\| (\d+) \| (\d+) \| `(ledger-\d)` \| `(ledger-\d)` \|$/gm;
const vectors = [...page.matchAll(row)].map(([, key = "", ...rest]) => [key, ...rest] as const);

describe("the hash that the protocol's page describes", () => {
  it("has vectors there", () => {
    expect(vectors.length).toBeGreaterThan(8);
    expect(vectors.map(([key]) => key)).toEqual(expect.arrayContaining(["", "日本", "😀"]));
  });

  it.each(vectors)("gives %j what the page says", (key, hashed, slot, ofTwo, ofThree) => {
    expect(hash(key)).toBe(Number(hashed));
    expect(hash(key) % 1024).toBe(Number(slot));
    expect(ownerOf(key, ["ledger-1", "ledger-2"])).toBe(ofTwo);
    expect(ownerOf(key, ["ledger-3", "ledger-2", "ledger-1"])).toBe(ofThree);
  });
});
