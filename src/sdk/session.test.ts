import { describe, expect, it } from "vitest";
import type { RegistryClient } from "../client/client.ts";
import { systemClock } from "../foundation/clock.ts";
import { FlowctlError } from "../foundation/errors.ts";
import { silentLogger } from "../foundation/logger.ts";
import { noMetrics } from "../protocol/component-codec.ts";
import { Session } from "./session.ts";

/** A session with a control plane that knows nobody, and answers a registration with this. */
function strange(refusal: FlowctlError, said: string[]): Session {
  const registry: Pick<RegistryClient, "register" | "deregister"> = {
    register: async () => {
      said.push("register");
      throw refusal;
    },
    deregister: async (reason) => {
      said.push(reason);
      throw new FlowctlError({ code: "registry/unknown-instance", kind: "not-found", message: "who are you" });
    },
  };
  return new Session({
    registry: registry as RegistryClient,
    registration: {
      ...{ address: "", healthEndpoint: "", metadata: {}, consumes: [], produces: [], features: [] },
    },
    clock: systemClock,
    log: silentLogger,
    metrics: () => noMetrics,
    degradedReason: () => "",
    held: () => [],
    drainedGroups: () => [],
    settledMarks: () => ({}),
    heardMark: () => 0,
    onTopology: () => undefined,
  });
}

describe("the last word", () => {
  it.each([
    ["registry/not-an-instance", "conflict"],
    ["registry/unknown-component", "not-found"],
  ] as const)("is over when its instance has left and only the answer was lost: %s", async (code, kind) => {
    const said: string[] = [];
    const refusal = new FlowctlError({ code, kind, message: "there is no such thing" });
    await strange(refusal, said).deregister("completed", "", AbortSignal.timeout(5_000));
    expect(said).toEqual(["completed", "register"]);
  });

  it("is said on while nobody can tell whether it was heard", async () => {
    const said: string[] = [];
    const away = new FlowctlError({ code: "client/unreachable", kind: "unavailable", message: "away" });
    const enough = new AbortController();
    const over = strange(away, said).deregister("completed", "", enough.signal);
    while (said.filter((one) => one === "register").length < 3) await new Promise((resolve) => setImmediate(resolve));
    enough.abort();
    await over;
    expect(said[0]).toBe("completed");
  });
});
