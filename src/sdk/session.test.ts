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
  return sessionWith(registry, () => false);
}

function sessionWith(registry: Partial<RegistryClient>, isChanging: () => boolean): Session {
  return new Session({
    isChanging,
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

describe("the last word of an instance whose certificate is refused", () => {
  const refusal = (code: string) => new FlowctlError({ code, kind: "unauthenticated", message: "refused" });

  function refusing(answers: (FlowctlError | undefined)[], isChanging: () => boolean, said: string[] = []): Session {
    const registry: Pick<RegistryClient, "deregister"> = {
      deregister: async (reason) => {
        said.push(reason);
        const answer = answers.length > 1 ? answers.shift() : answers[0];
        if (answer !== undefined) throw answer;
      },
    };
    return sessionWith(registry, isChanging);
  }

  it("is said until it is heard, while the instance waits for another certificate", async () => {
    const said: string[] = [];
    const [void_, expired] = [refusal("identity/superseded"), refusal("identity/expired")];
    const answers = [expired, expired, expired, void_, void_, void_, undefined];
    await refusing(answers, () => true, said).deregister("completed", "", AbortSignal.timeout(30_000));
    expect(said).toHaveLength(7);
  });

  it("is said again after the first refusal, which may have been of the certificate before", async () => {
    const said: string[] = [];
    const answers = [refusal("identity/superseded"), undefined];
    await refusing(answers, () => false, said).deregister("completed", "", AbortSignal.timeout(30_000));
    expect(said).toHaveLength(2);
  });

  it("is not taken for heard when another program is in its place", async () => {
    const session = () => refusing([refusal("identity/superseded")], () => false);
    await expect(session().deregister("completed", "", AbortSignal.timeout(30_000))).rejects.toMatchObject({
      code: "identity/superseded",
    });
    await session().deregister("stopped", "", AbortSignal.timeout(30_000));
  });
});
