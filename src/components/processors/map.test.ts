import { describe, expect, it } from "vitest";
import type { EventInit } from "../../sdk/index.ts";
import { anEvent, payloadJson, runProcessor } from "../component-harness.fake.ts";
import { map } from "./map.ts";

const quake = anEvent({
  id: "q1",
  type: "feature",
  json: { id: "ci37", properties: { mag: 4, place: "Castaic", time: 1517966773840 }, tags: ["a"], old: null },
  metadata: { region: "us" },
});

async function mapped(config: Record<string, unknown>, event = quake): Promise<EventInit> {
  const [out] = await runProcessor(map, { config }, [event]);
  if (out === undefined) throw new Error("nothing was emitted");
  return out as EventInit;
}

describe("map", () => {
  it("makes the payload anew from a template of expressions", async () => {
    const to = {
      place: "payload.properties.place",
      strong: "payload.properties.mag >= 6",
      half: "payload.properties.mag / 2",
      origin: { id: "payload.id", region: "metadata.region", from: "type" },
      list: ["payload.tags[0]", 1, null],
      schema: 2,
    };
    expect(payloadJson(await mapped({ to }))).toEqual({
      place: "Castaic",
      strong: false,
      half: 2,
      origin: { id: "ci37", region: "us", from: "feature" },
      list: ["a", 1, null],
      schema: 2,
    });
  });

  it("makes the payload anew from one expression", async () => {
    expect(payloadJson(await mapped({ to: "payload.properties" }))).toMatchObject({ mag: 4 });
    expect(payloadJson(await mapped({ to: "{'n': size(payload.tags)}" }))).toEqual({ n: 1 });
  });

  it("adds, replaces and drops fields; every expression sees the event as it came in", async () => {
    const out = await mapped({
      set: { tags: "size(payload.tags)", count: "size(payload.tags)" },
      drop: ["properties", "old"],
    });
    expect(payloadJson(out)).toEqual({ id: "ci37", tags: 1, count: 1 });
  });

  it("leaves the received payload unchanged for others", async () => {
    const before = quake.text();
    await mapped({ set: { id: "'other'" }, drop: ["tags"] });
    expect(quake.text()).toBe(before);
  });

  it("passes the bytes of a payload on that no setting touches", async () => {
    const binary = anEvent({ payload: new Uint8Array([0xff, 0]), contentType: "image/x-test" });
    const out = await mapped({ type: "image" }, binary);
    expect(out).toMatchObject({ type: "image", contentType: "image/x-test" });
    expect(out.payload).toBe(binary.payload);
  });

  it("sets type, metadata, timestamp and id", async () => {
    const out = await mapped({
      type_from: "'quake.' + payload.properties.place.lowerAscii()",
      metadata: { mag: "payload.properties.mag", strong: "payload.properties.mag > 6" },
      timestamp: "timestamp(payload.properties.time / 1000)",
      id: "'quake/' + payload.id",
    });
    expect(out).toMatchObject({
      type: "quake.castaic",
      id: "quake/ci37",
      metadata: { region: "us", mag: "4", strong: "false" },
      timestamp: new Date(1517966773840),
    });
  });

  it("keeps the type, and leaves id, metadata and timestamp to be inherited, unless told otherwise", async () => {
    const out = await mapped({ to: "payload.id" });
    expect(out).toMatchObject({ type: "feature", json: "ci37" });
    expect(Object.keys(out).sort()).toEqual(["contentType", "json", "type"]);
  });

  it.each([
    [{ set: { a: "1" } }, { json: [1] }, "components/payload-not-object"],
    [{ set: { a: "payload.b.c" } }, { json: {} }, "components/expression-failed"],
    [{ timestamp: "payload.time" }, { json: { time: 3 } }, "components/wrong-value"],
    [{ id: "payload.id" }, { json: { id: "" } }, "components/wrong-value"],
    [{ metadata: { a: "payload.a" } }, { json: { a: [] } }, "components/wrong-value"],
  ])("refuses an event that %j cannot be done to", async (config, init, code) => {
    await expect(runProcessor(map, { config }, [anEvent(init)])).rejects.toMatchObject({ code });
  });

  it("leaves fields out whose optional is empty, and cannot set a prototype", async () => {
    expect(payloadJson(await mapped({ to: { a: "payload.?absent", b: "payload.?id" } }))).toEqual({ b: "ci37" });
    const evil = anEvent({ payload: '{"__proto__":{"polluted":1},"a":1}', contentType: "application/json" });
    const out = await mapped({ set: { b: "2" } }, evil);
    expect(({} as { polluted?: number }).polluted).toBeUndefined();
    expect(payloadJson(out)).toMatchObject({ a: 1, b: 2 });
  });
});
