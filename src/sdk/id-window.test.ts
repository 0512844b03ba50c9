import { expect, it } from "vitest";
import { IdWindow } from "./id-window.ts";

it("remembers at least the last `capacity` ids, and at most twice that", () => {
  const window = new IdWindow(3);
  const ids = Array.from({ length: 50 }, (_, n) => `id-${n}`);
  for (const [n, id] of ids.entries()) {
    window.add(id);
    const known = ids.slice(0, n + 1).filter((one) => window.has(one));
    expect(known.slice(-3)).toEqual(ids.slice(Math.max(0, n - 2), n + 1));
    expect(known.length).toBeLessThanOrEqual(6);
  }
});

it("of capacity 0 remembers nothing", () => {
  const window = new IdWindow(0);
  window.add("a");
  expect(window.has("a")).toBe(false);
});
