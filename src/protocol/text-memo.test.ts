import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { TextMemo } from "./text-memo.ts";

describe("a text memo", () => {
  it("gives what decoding gives, whatever it has seen before", () => {
    const few = fc.constantFrom(
      "order.v1",
      "order.v2",
      "ordes.v1",
      "é",
      "",
      "x".repeat(64),
      "x".repeat(65),
      "y".repeat(64),
    );
    fc.assert(
      fc.property(fc.array(fc.oneof(few, fc.string({ unit: "grapheme", maxLength: 30 }))), fc.nat(7), (texts, gap) => {
        const memo = new TextMemo();
        const parts = texts.map((text) => Buffer.from(text));
        const buffer = Buffer.concat(parts.flatMap((part) => [Buffer.alloc(gap), part]));
        let at = 0;
        for (const [i, part] of parts.entries()) {
          at += gap;
          expect(memo.read(buffer, at, at + part.length)).toBe(texts[i]);
          at += part.length;
        }
      }),
    );
  });

  it("decodes what is no UTF-8 as Node.js does", () => {
    const memo = new TextMemo();
    const buffer = Buffer.from([0xff, 0x61]);
    expect(memo.read(buffer, 0, 2)).toBe(buffer.toString("utf8"));
    expect(memo.read(buffer, 0, 2)).toBe("\ufffda");
  });
});
