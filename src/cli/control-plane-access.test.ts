import { beforeEach, describe, expect, it } from "vitest";
import { MemoryDriver } from "../drivers/memory-driver.fake.ts";
import { systemClock } from "../foundation/clock.ts";
import { FlowctlError } from "../foundation/errors.ts";
import { MemoryControlPlane } from "./cli-harness.fake.ts";
import { ControlPlaneAccess } from "./control-plane-access.ts";

let connected: number;
let refusals: number;
let access: ControlPlaneAccess;

beforeEach(() => {
  connected = 0;
  refusals = 0;
  const driver = new MemoryDriver();
  driver.controlPlane = async () => ({ grpc: "memory", http: "memory" });
  const connect = async () => {
    connected++;
    return new MemoryControlPlane().client();
  };
  access = new ControlPlaneAccess({ clock: systemClock, connect }, driver, "p");
});

/** A call that is refused as often as the test says. */
const call = (code: string) =>
  access.call(new AbortController().signal, async () => {
    if (refusals-- > 0) throw new FlowctlError({ code, kind: "unauthenticated", message: "refused" });
    return "done";
  });

describe("a call that the control plane does not know, as one of an earlier version", () => {
  it("says how to replace it", async () => {
    const unknown = new FlowctlError({ code: "client/call-failed", kind: "not-found", message: "not implemented" });
    const asked = access.call(new AbortController().signal, () => Promise.reject(unknown));
    await expect(asked).rejects.toMatchObject({
      code: "cli/control-plane-version",
      kind: "conflict",
      fix: expect.stringContaining("flowctl up -d -p p"),
    });
  });
});

describe("a call with a certificate that is void", () => {
  it("is made again with the one that the driver has now, as the owner's may have been replaced", async () => {
    expect(await call("")).toBe("done");
    refusals = 1;
    expect([await call("identity/revoked"), connected]).toEqual(["done", 2]);
  });

  it("is refused when that is void, too", async () => {
    refusals = 2;
    await expect(call("identity/revoked")).rejects.toMatchObject({ code: "identity/revoked" });
    expect(connected).toBe(2);
  });

  it("is refused at once for any other reason", async () => {
    refusals = 1;
    await expect(call("identity/expired")).rejects.toMatchObject({ code: "identity/expired" });
    expect(connected).toBe(1);
  });
});
