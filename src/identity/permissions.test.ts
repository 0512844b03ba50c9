import { describe, expect, it } from "vitest";
import type { Name } from "./names.ts";
import type { Peer } from "./peer.ts";
import { CALLER_ROLES, PERMISSIONS, requireItself, requirePermission } from "./permissions.ts";

const now = 1_000;
const peer = (role: Name["role"], pipeline = "p", expires = now + 1): Peer => {
  const isInstance = role === "component" || role === "joining";
  const name = isInstance ? { role, pipeline, component: "a", instance: "a-1" } : { role, pipeline };
  return { name: name as Name, link: undefined, serial: "01", expires };
};
const heartbeat = "/flowctl.registry.v1.ComponentRegistry/Heartbeat";
const health = "/grpc.health.v1.Health/Check";

describe("a call", () => {
  const cells = Object.entries(PERMISSIONS).flatMap(([path, row]) =>
    CALLER_ROLES.map((role) => [role, path, row[role]] as const),
  );

  it.each(cells)("of %s to %s: %s", (role, path, permission) => {
    const call = () => requirePermission(path, peer(role), "p", now);
    if (permission === "no")
      expect(call).toThrow(expect.objectContaining({ code: "identity/not-permitted", kind: "denied" }));
    else expect(call().name.role).toBe(role);
  });

  it.each([...CALLER_ROLES, "control-plane"] as const)("of %s to what is not in the table is not permitted", (role) => {
    for (const path of ["/x.Y/Z", "/constructor", "__proto__"]) {
      expect(() => requirePermission(path, peer(role), "p", now)).toThrow(
        expect.objectContaining({ code: "identity/not-permitted" }),
      );
    }
  });

  it("is of nobody without a name, of nobody of another pipeline, and never of a control plane", () => {
    const unauthenticated = expect.objectContaining({ code: "identity/unauthenticated", kind: "unauthenticated" });
    expect(() => requirePermission(health, undefined, "p", now)).toThrow(unauthenticated);
    expect(() => requirePermission(health, peer("operator", "q"), "p", now)).toThrow(unauthenticated);
    expect(() => requirePermission(health, peer("control-plane"), "p", now)).toThrow(
      expect.objectContaining({ code: "identity/not-permitted" }),
    );
    expect(() => requirePermission(heartbeat, peer("component", "q"), "p", now)).toThrow(unauthenticated);
  });
});

describe("a certificate", () => {
  it.each(CALLER_ROLES)(
    "of %s permits nothing once it has expired, on connections that were made before as well",
    (role) => {
      const expired = expect.objectContaining({ code: "identity/expired", kind: "unauthenticated" });
      for (const path of Object.keys(PERMISSIONS)) {
        for (const expires of [now, now - 1, Number.NaN])
          expect(() => requirePermission(path, peer(role, "p", expires), "p", now)).toThrow(expired);
      }
    },
  );
});

describe("a request of an instance", () => {
  const denied = expect.objectContaining({ code: "identity/not-itself", kind: "denied" });

  it("is about itself", () => {
    requireItself(peer("component"), { componentId: "a", instanceId: "a-1" });
    requireItself(peer("component"), { componentId: "a" });
    requireItself(peer("operator"), { componentId: "b", instanceId: "b-1" });
    requireItself(undefined, { componentId: "b" });
  });

  it("is refused when it is about another one, and both are named", () => {
    expect(() => requireItself(peer("component"), { componentId: "a", instanceId: "a-2" })).toThrow(denied);
    expect(() => requireItself(peer("component"), { componentId: "b" })).toThrow(denied);
    expect(() => requireItself(peer("component"), { componentId: "b", instanceId: "a-1" })).toThrow(
      "the certificate is that of instance a-1 of a, and the request is about instance a-1 of b",
    );
  });
});
