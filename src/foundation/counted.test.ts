import { expect, it } from "vitest";
import { counted } from "./counted.ts";

it("has one of a thing in the singular, and any other number in the plural", () => {
  expect([0, 1, 2].map((count) => counted(count, "event"))).toEqual(["0 events", "1 event", "2 events"]);
  expect(counted(12_000, "event", "12k")).toBe("12k events");
});
