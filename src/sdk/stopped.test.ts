import { describe, expect, it } from "vitest";
import { FlowctlError } from "../foundation/errors.ts";
import { isStopped, stoppedError, untilStopped } from "./stopped.ts";

describe("what is given up because the component stops", () => {
  const reason = new Error("the reason");
  const abortError = Object.assign(new Error("aborted"), { name: "AbortError" });
  const cancelled = new FlowctlError({ code: "a/b", kind: "cancelled", message: "cancelled" });
  const given = [
    ["the signal's reason", reason],
    ["an AbortError", abortError],
    ["an error of kind cancelled", cancelled],
    ["what one of them has caused", new Error("given up", { cause: new Error("request", { cause: reason }) })],
  ] as const;

  it.each(given)("is told by %s, once the signal has fired, and not before", (_, error) => {
    const stop = new AbortController();
    expect(isStopped(error, stop.signal)).toBe(false);
    stop.abort(reason);
    expect(isStopped(error, stop.signal)).toBe(true);
  });

  it("is not what fails for another reason meanwhile", () => {
    const bad = new FlowctlError({ code: "a/b", kind: "invalid", message: "bad", cause: new Error("the reason") });
    for (const error of [new Error("bad"), bad, undefined])
      expect(isStopped(error, AbortSignal.abort(reason))).toBe(false);
  });

  it("is no failure of the work, which any other error is", async () => {
    await expect(untilStopped(Promise.reject(stoppedError("stops")))).resolves.toBeUndefined();
    await expect(untilStopped(Promise.resolve())).resolves.toBeUndefined();
    await expect(untilStopped(Promise.reject(cancelled))).rejects.toBe(cancelled);
  });
});
