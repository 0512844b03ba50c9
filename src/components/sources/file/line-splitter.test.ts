import fc from "fast-check";
import { expect, it } from "vitest";
import { type Line, LineSplitter } from "./line-splitter.ts";

function split(bytes: Uint8Array, pieceSizes: readonly number[], maxBytes = 1_000): Line[] {
  const splitter = new LineSplitter({ offset: 0, number: 0, maxBytes });
  const lines: Line[] = [];
  let start = 0;
  for (let n = 0; start < bytes.length; n++) {
    const size = Math.max(1, pieceSizes[n % pieceSizes.length] ?? 1);
    lines.push(...splitter.push(bytes.subarray(start, start + size)));
    start += size;
  }
  const last = splitter.end();
  return last === undefined ? lines : [...lines, last];
}

const text = (line: Line): string => Buffer.from(line.bytes).toString();

it.each([1, 2, 3, 7, 1000])("cuts lines out of pieces of %i bytes, whatever the line breaks are", (size) => {
  const lines = split(Buffer.from("\ufeffZoë\r\n\r\n\na\rb\nlast"), [size]);
  expect(lines.map(text)).toEqual(["Zoë", "", "", "a\rb", "last"]);
  expect(lines.map((line) => line.number)).toEqual([1, 2, 3, 4, 5]);
  expect(lines.map((line) => line.end)).toEqual([9, 11, 12, 16, 20]);
});

it("lets go of lines that are too long, and goes on with the next", () => {
  for (const size of [1, 4, 100]) {
    const lines = split(Buffer.from("12345\n123456\n123456789\r\n12345\r\n123456"), [size], 5);
    expect(lines.map((line) => line.tooLong)).toEqual([false, true, true, false, true]);
    expect(text(lines[3]!)).toBe("12345");
  }
});

it("resumed at the end of any line, gives the same rest", () => {
  const alphabet = fc.constantFrom("a", "é", "\n", "\r\n", "\ufeff", '"');
  fc.assert(
    fc.property(
      fc.array(alphabet, { maxLength: 40 }),
      fc.array(fc.integer({ min: 1, max: 9 }), { minLength: 1 }),
      (parts, sizes) => {
        const bytes = Buffer.from(parts.join(""));
        const whole = split(bytes, sizes);
        for (const [index, line] of whole.entries()) {
          const splitter = new LineSplitter({ offset: line.end, number: line.number, maxBytes: 1_000 });
          const rest = [...splitter.push(bytes.subarray(line.end))];
          const last = splitter.end();
          if (last !== undefined) rest.push(last);
          const plain = (one: Line): unknown => ({ ...one, bytes: text(one) });
          expect(rest.map(plain)).toEqual(whole.slice(index + 1).map(plain));
        }
      },
    ),
  );
});
