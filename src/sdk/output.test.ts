import { expect, it } from "vitest";
import { maxMessageBytes } from "../protocol/channel-options.ts";
import { SlabPool } from "../protocol/slab-pool.ts";
import type { ReceivedEvent } from "../streams/receiving/received-event.ts";
import { MAX_EVENT_BYTES, OutputEncoder } from "./output.ts";

const KEY = "flowctl.dead_letter.reason";

it("makes dead letters that can be carried of all events that can, whatever the error says", () => {
  const encoder = new OutputEncoder("map", new SlabPool());
  const payload = "x".repeat(MAX_EVENT_BYTES - 1_000);
  const event = encoder.original({ id: "large", payload }, 0, "map:") as ReceivedEvent;
  const letter = encoder.deadLetter(event, `cannot take ${event.text()}`, 1, new Date(0));
  expect(letter.size).toBeLessThan(maxMessageBytes - 512 * 1024);
  expect(letter.metadata[KEY]).toMatch(/^cannot take x+…$/);
  expect(letter.text() === payload).toBe(true);
  expect(encoder.deadLetter(event, "no amount", 1, new Date(0)).metadata[KEY]).toBe("no amount");
});
