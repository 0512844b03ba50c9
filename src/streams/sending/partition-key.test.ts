import { expect, it } from "vitest";
import { EventEncoder } from "../../protocol/event-encoder.ts";
import { compileKey } from "./partition-key.ts";

const encoder = new EventEncoder();

function keyOf(path: string, payload = '{"customer":{"id":"c-1","no":7},"list":[1],"none":null}'): string {
  const event = encoder.encode({
    id: "e-1",
    type: "order",
    payload,
    metadata: { tenant: "t-1", "a.b": "dotted" },
    timestamp: undefined,
    sourceComponentId: "feed",
    contentType: "application/json",
  });
  return compileKey(path)(event);
}

it.each([
  ["id", "e-1"],
  ["type", "order"],
  ["metadata.tenant", "t-1"],
  ["metadata.a.b", "dotted"],
  ["payload.customer.id", "c-1"],
  ["payload.list.0", "1"],
  ["customer.id", "c-1"],
])("the key %s is what the event has there", (path, key) => {
  expect(keyOf(path)).toBe(key);
});

it("a value that is no string is its JSON, so that equal values are one key", () => {
  expect([keyOf("customer.no"), keyOf("list"), keyOf("customer")]).toEqual(["7", "[1]", '{"id":"c-1","no":7}']);
});

it("an event without the value has the empty key, and so has one whose payload cannot be read", () => {
  const paths = ["metadata.other", "none", "other", "customer.id.further", "list.x"];
  expect(paths.map((path) => keyOf(path))).toEqual(["", "", "", "", ""]);
  expect(keyOf("customer.id", "{damaged")).toBe("");
});
