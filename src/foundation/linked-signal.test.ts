import { getEventListeners } from "node:events";
import { expect, it } from "vitest";
import { linkedSignal } from "./linked-signal.ts";

const setUp = () => {
  const [lasting, other] = [new AbortController(), new AbortController()];
  return { lasting, other, linked: linkedSignal(lasting.signal, other.signal) };
};

it.each(["lasting", "other"] as const)("a linked signal fires with the %s one, and with its reason", (which) => {
  const parts = setUp();
  const { signal } = parts.linked;
  let fired = 0;
  signal.addEventListener("abort", () => fired++);
  expect(signal.aborted).toBe(false);
  parts[which].abort("enough");
  for (const { signal: one } of [parts.lasting, parts.other]) expect(getEventListeners(one, "abort")).toEqual([]);
  parts.lasting.abort("later");
  parts.other.abort("later");
  expect([fired, signal.aborted, signal.reason]).toEqual([1, true, "enough"]);
});

it("a linked signal has fired when one of the others had", () => {
  const { other, lasting } = setUp();
  other.abort("before");
  expect(linkedSignal(lasting.signal, other.signal).signal.reason).toBe("before");
});

it("a linked signal leaves nothing at the others once it is let go of, and fires no more", () => {
  const { lasting, other, linked } = setUp();
  linked.release();
  for (const { signal } of [lasting, other]) expect(getEventListeners(signal, "abort")).toEqual([]);
  lasting.abort();
  expect(linked.signal.aborted).toBe(false);
});
