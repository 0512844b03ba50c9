import { describe, expect, it } from "vitest";
import { anEvent, runProcessor } from "../component-harness.fake.ts";
import { filter } from "./filter.ts";

const quakes = [2, 4.5, 4.4, 6].map((mag) => anEvent({ id: String(mag), json: { mag } }));

describe("filter", () => {
  it("emits the very events for which the expression is true, and drops the others", async () => {
    const out = await runProcessor(filter, { config: { where: "payload.mag >= 4.5" } }, quakes);
    expect(out).toEqual([quakes[1], quakes[3]]);
    expect(out[0]).toBe(quakes[1]);
  });

  it("does not decode a payload that the expression does not read", async () => {
    const event = anEvent({ type: "quake", payload: "{broken", contentType: "application/json" });
    expect(await runProcessor(filter, { config: { where: "type == 'quake'" } }, [event])).toEqual([event]);
  });

  it("reads text payloads as text and other content as bytes", async () => {
    const text = anEvent({ payload: "an ERROR line", contentType: "text/plain; charset=utf-8" });
    const bytes = anEvent({ payload: new Uint8Array([1, 2, 3]), contentType: "application/octet-stream" });
    expect(await runProcessor(filter, { config: { where: "payload.contains('ERROR')" } }, [text])).toHaveLength(1);
    expect(await runProcessor(filter, { config: { where: "size(payload) == 3" } }, [bytes])).toHaveLength(1);
  });

  it.each([
    ["payload.absent > 1", { json: {} }, "components/expression-failed"],
    ["payload.mag > 1", { json: { mag: null } }, "components/expression-failed"],
    ["payload.mag > 1", { payload: "{broken", contentType: "application/json" }, "sdk/payload-not-json"],
    ["payload.ok", { json: { ok: 1 } }, "components/not-a-truth-value"],
  ])("refuses an event that the expression cannot decide about: %s", async (where, init, code) => {
    await expect(runProcessor(filter, { config: { where } }, [anEvent(init)])).rejects.toMatchObject({ code });
  });

  it("decides about incomplete events when the expression asks", async () => {
    const events = [anEvent({ json: {} }), anEvent({ json: { mag: null } }), anEvent({ json: { mag: 7 } })];
    const out = await runProcessor(filter, { config: { where: "default(payload.mag, 0) >= 4.5" } }, events);
    expect(out).toEqual([events[2]]);
    expect(await runProcessor(filter, { config: { where: "has(payload.mag)" } }, events)).toHaveLength(2);
  });
});
