import { describe, expect, it } from "vitest";
import { readArrival } from "./sink-file.ts";

describe("a line of a sink", () => {
  const payload = { s: "numbers", n: 7, k: 7, t: "2026-11-26T20:54:39.393Z", v: "numbers>first" };

  it("says which event it is, when it was made and how it came", () => {
    expect(readArrival(JSON.stringify({ ...payload, tries: 2 }))).toEqual({
      ...{ source: "numbers", n: 7, madeAt: Date.parse(payload.t), route: "numbers>first", tries: 2 },
    });
  });

  it("may be a dead letter", () => {
    const metadata = { "flowctl.dead_letter.component": "picky" };
    expect(readArrival(JSON.stringify({ id: "x", metadata, payload }))?.route).toBe("numbers>first!picky");
  });

  it.each(['{"s":"num', "[]", "{}", '{"payload":{}}', ""])("is none: %s", (text) => {
    expect(readArrival(text)).toBeUndefined();
  });
});
