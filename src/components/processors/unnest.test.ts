import fc from "fast-check";
import { describe, expect, it } from "vitest";
import type { EventInit } from "../../sdk/index.ts";
import { anEvent, payloadJson, runProcessor } from "../component-harness.fake.ts";
import { unnest } from "./unnest.ts";

const order = anEvent({ id: "o1", type: "order", json: { id: 7, lines: [{ sku: "a" }, { sku: "b" }] } });

async function payloads(config: Record<string, unknown>, ...events: ReturnType<typeof anEvent>[]): Promise<unknown[]> {
  return (await runProcessor(unnest, { config }, events)).map((one) => payloadJson(one as EventInit));
}

describe("unnest", () => {
  it("makes an event of each item, in their order, of the type of the event unless another is set", async () => {
    const out = await runProcessor(unnest, { config: { items: "payload.lines" } }, [order]);
    expect(out).toMatchObject([
      { type: "order", json: { sku: "a" }, contentType: "application/json" },
      { type: "order", json: { sku: "b" } },
    ]);
    // Its id is made from that of the event.
    expect(out.map(({ id }) => id)).toEqual([undefined, undefined]);
    expect(await runProcessor(unnest, { config: { items: "payload.lines", type: "line" } }, [order])).toMatchObject([
      { type: "line" },
      { type: "line" },
    ]);
  });

  it("gives expressions the event, the item and its index", async () => {
    const to = { order: "payload.id", sku: "item.sku", number: "index + 1", from: "id" };
    expect(await payloads({ items: "payload.lines", to }, order)).toEqual([
      { order: 7, sku: "a", number: 1, from: "o1" },
      { order: 7, sku: "b", number: 2, from: "o1" },
    ]);
  });

  it("makes nothing of an empty list, and null of an item without a value", async () => {
    expect(await payloads({ items: "payload" }, anEvent({ json: [] }), anEvent({ json: [null, 1] }))).toEqual([
      null,
      1,
    ]);
    expect(await payloads({ items: "default(payload.lines, [])" }, anEvent({ json: {} }))).toEqual([]);
  });

  it("gives back any list of JSON", async () => {
    const list = fc.array(fc.jsonValue());
    await fc.assert(
      fc.asyncProperty(list, async (items) => {
        const sent = JSON.parse(JSON.stringify({ items })) as { items: unknown[] };
        expect(await payloads({ items: "payload.items" }, anEvent({ json: sent }))).toEqual(sent.items);
      }),
    );
  });

  it.each([
    ["payload", { json: { a: 1 } }, "components/not-a-list"],
    ["payload.lines", { json: { lines: null } }, "components/not-a-list"],
    ["payload.lines", { json: {} }, "components/expression-failed"],
  ])("refuses an event of which %s is no list", async (items, init, code) => {
    await expect(runProcessor(unnest, { config: { items } }, [anEvent(init)])).rejects.toMatchObject({ code });
  });
});
