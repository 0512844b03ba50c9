import { describe, expect, it } from "vitest";
import { seal, sealedDigest, unseal } from "./sealed.ts";

const key = new Uint8Array(32).fill(7);
const other = new Uint8Array(32).fill(8);
const content = new TextEncoder().encode("PASSWORD=hunter2");

describe("what is sealed", () => {
  it("is read with the key and the purpose that it was sealed with, and shows nothing of itself", () => {
    const sealed = seal(content, key, "a purpose");
    expect(Buffer.from(sealed).includes("hunter2")).toBe(false);
    expect(Buffer.from(unseal(sealed, key, "a purpose") ?? []).toString()).toBe("PASSWORD=hunter2");
    expect(Buffer.compare(sealed, seal(content, key, "a purpose"))).not.toBe(0);
  });

  it("is not read with another key, for another purpose, or when it was changed or cut", () => {
    const sealed = Buffer.from(seal(content, key, "a purpose"));
    expect(unseal(sealed, other, "a purpose")).toBe(undefined);
    expect(unseal(sealed, key, "another")).toBe(undefined);
    for (let at = 0; at < sealed.length; at++) {
      const changed = Buffer.from(sealed);
      changed[at] = (changed[at] as number) ^ 1;
      expect(unseal(changed, key, "a purpose"), `byte ${at}`).toBe(undefined);
      expect(unseal(sealed.subarray(0, at), key, "a purpose"), `cut at ${at}`).toBe(undefined);
    }
  });

  it("has digests that only the key tells apart", () => {
    expect(sealedDigest(content, key, "p")).toBe(sealedDigest(content, key, "p"));
    expect(sealedDigest(content, key, "p")).not.toBe(sealedDigest(content, other, "p"));
    expect(sealedDigest(content, key, "p")).not.toBe(sealedDigest(content, key, "q"));
  });
});
