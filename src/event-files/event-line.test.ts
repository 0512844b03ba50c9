import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { eventLine, type FileEvent, readEventLine } from "./event-line.ts";

function event(init: Partial<FileEvent>): FileEvent {
  return {
    id: "e1",
    type: "order.v1",
    payload: Buffer.from("{}"),
    metadata: {},
    timestamp: undefined,
    sourceComponentId: "feed",
    contentType: "application/json",
    ...init,
  };
}

/** With the payload as numbers, so that views of different memory compare. */
function plain(one: FileEvent | undefined): unknown {
  return one === undefined ? undefined : { ...one, payload: [...one.payload] };
}

const contentTypes = ["application/json", "", "application/cloudevents+json; charset=utf-8", "text/plain", "image/png"];
const payloads = fc.oneof(
  fc.uint8Array({ maxLength: 64 }),
  fc.json().map((text) => Buffer.from(text)),
  fc.json().map((text) => Buffer.from(JSON.stringify(JSON.parse(text), undefined, 2))),
  fc.string({ unit: "binary" }).map((text) => Buffer.from(text)),
);
const texts = fc.string({ unit: "binary" });

describe("the line of an event", () => {
  it("gives the same event back, its payload byte for byte, whatever it holds", () => {
    const any = fc.record({
      id: texts,
      type: texts,
      payload: payloads,
      metadata: fc.dictionary(texts, texts),
      timestamp: fc.option(fc.date({ noInvalidDate: true, min: new Date(0), max: new Date("9999-12-31") }), {
        nil: undefined,
      }),
      sourceComponentId: texts,
      contentType: fc.constantFrom(...contentTypes),
    });
    fc.assert(
      fc.property(any, (one) => {
        const line = eventLine(one);
        expect(line).not.toMatch(/[\n\r]/);
        expect(() => JSON.parse(line)).not.toThrow();
        expect(plain(readEventLine(line))).toEqual(plain({ ...one, metadata: { ...one.metadata } }));
      }),
      { numRuns: 1_000 },
    );
  });

  it.each([
    ['{"n":12345678901234567890,"x":1.0, "a":1,"a":2}', "digits, spaces and doubled keys that JSON.parse would lose"],
    ['{\n  "n": 1.50\n}\n', "line breaks"],
    ['{"broken":', "what is no JSON although it says so"],
    ['{"separator":"\u2028"}', "characters that some readers take for the end of a line"],
    ["", "nothing"],
  ])("keeps %j byte for byte: %s", (text) => {
    const line = eventLine(event({ payload: Buffer.from(text) }));
    expect(Buffer.from(readEventLine(line)?.payload ?? []).toString()).toBe(text);
  });

  it("shows a JSON payload as JSON and text as text", () => {
    expect(JSON.parse(eventLine(event({ payload: Buffer.from('{"a": 1}') })))).toMatchObject({ payload: { a: 1 } });
    const text = event({ payload: Buffer.from("a line\nanother"), contentType: "text/plain" });
    expect(JSON.parse(eventLine(text))).toMatchObject({ payload: "a line\nanother" });
  });

  it("that another program wrote anew still gives the event, with its JSON as that program writes it", () => {
    const line = eventLine(event({ payload: Buffer.from('{"b":1,  "a":2}') }));
    const anew = JSON.stringify(Object.fromEntries(Object.entries(JSON.parse(line)).reverse()));
    expect(Buffer.from(readEventLine(anew)?.payload ?? []).toString()).toBe('{"b":1,"a":2}');
  });

  it.each([
    "",
    "no JSON",
    "[]",
    "{}",
    '{"id":1,"type":"t","source":"s"}',
    '{"id":"1","type":"t","source":"s","timestamp":"x"}',
  ])("%j is none", (line) => {
    expect(readEventLine(line)).toBeUndefined();
  });
});
