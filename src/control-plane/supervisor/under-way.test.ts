import { expect, it } from "vitest";
import { UnderWay } from "./under-way.ts";

it("what took the place of other work is under way until both have ended", async () => {
  const underWay = new UnderWay();
  const { signal } = new AbortController();
  let endFirst: () => void = () => undefined;
  const first = new Promise<void>((resolve) => {
    endFirst = resolve;
  });
  let wasBrokenOff = false;
  underWay.begin("a", signal, async (own) => {
    own.addEventListener("abort", () => {
      wasBrokenOff = true;
    });
    await first;
  });
  underWay.begin("a", signal, async () => undefined);
  let isSettled = false;
  const settled = underWay.settled().then(() => {
    isSettled = true;
  });
  await new Promise((resolve) => setImmediate(resolve));
  expect([wasBrokenOff, isSettled]).toEqual([true, false]);
  endFirst();
  await settled;
});
