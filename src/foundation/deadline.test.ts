import { once } from "node:events";
import { setFlagsFromString } from "node:v8";
import { runInNewContext } from "node:vm";
import { describe, expect, it } from "vitest";
import { firesAfter, withDeadline } from "./deadline.ts";

setFlagsFromString("--expose-gc");
const collectGarbage = runInNewContext("gc") as () => void;

describe("a signal with a deadline", () => {
  it("fires when the time is over, also after garbage was collected in between", async () => {
    const outer = new AbortController();
    let fired = false;
    withDeadline(outer.signal, 50).addEventListener("abort", () => {
      fired = true;
    });
    await expect
      .poll(() => {
        collectGarbage();
        return fired;
      })
      .toBe(true);
    expect(outer.signal.aborted).toBe(false);
  });

  it("fires with the signal that it was made from, and for its reason", async () => {
    const outer = new AbortController();
    const signal = withDeadline(outer.signal, 60_000);
    const end = once(signal, "abort");
    outer.abort("stop");
    await end;
    expect(signal.reason).toBe("stop");
    expect(withDeadline(outer.signal, 60_000).aborted).toBe(true);
  });

  it("says that it was the time", async () => {
    const signal = withDeadline(new AbortController().signal, 1);
    await expect.poll(() => (signal.reason as Error | undefined)?.name).toBe("TimeoutError");
  });

  it("is no leak when there are many at once", async () => {
    const parent = new AbortController();
    const warnings: Error[] = [];
    const onWarning = (warning: Error): void => void warnings.push(warning);
    process.on("warning", onWarning);
    for (let i = 0; i < 20; i++) withDeadline(parent.signal, 60_000);
    await new Promise((resolve) => setImmediate(resolve));
    process.off("warning", onWarning);
    expect(warnings).toEqual([]);
    parent.abort();
  });
});

describe("a signal that follows another", () => {
  it("fires so long after that one has, also when that had fired already, and for its reason", async () => {
    const first = new AbortController();
    const signal = firesAfter(first.signal, 30);
    const from = performance.now();
    first.abort("stop");
    expect(signal.aborted).toBe(false);
    const already = firesAfter(first.signal, 30);
    expect(already.aborted).toBe(false);
    await Promise.all([once(signal, "abort"), once(already, "abort")]);
    expect(performance.now() - from).toBeGreaterThan(25);
    expect([signal.reason, already.reason]).toEqual(["stop", "stop"]);
  });

  it("does not fire where that one does not", async () => {
    const signal = firesAfter(new AbortController().signal, 1);
    await new Promise((resolve) => setTimeout(resolve, 20));
    expect(signal.aborted).toBe(false);
  });
});
