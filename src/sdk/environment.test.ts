import { describe, expect, it } from "vitest";
import { readEnvironment } from "./environment.ts";

const least = { FLOWCTL_PIPELINE: "p", FLOWCTL_COMPONENT_ID: "c", FLOWCTL_CONTROL_PLANE: "127.0.0.1:8080" };

describe("the environment of a component", () => {
  it("needs only pipeline, component id and control plane", () => {
    expect(readEnvironment(least)).toMatchObject({
      instance: { pipeline: "p", componentId: "c", instanceId: "c-1", index: 1, replicas: 1 },
      controlPlane: "127.0.0.1:8080",
      healthPort: 8088,
      config: {},
      logLevel: "info",
      secretsDirectory: "/run/secrets",
    });
  });

  it("has an identity when all three files are named", () => {
    const files = { FLOWCTL_TLS_CA: "a", FLOWCTL_TLS_CERT: "c", FLOWCTL_TLS_KEY: "k" };
    expect(readEnvironment({ ...least, ...files }).identity).toEqual({ ca: "a", certificate: "c", key: "k" });
    expect(readEnvironment(least).identity).toBeUndefined();
  });

  it("serves health only to this machine when streams are", () => {
    expect(readEnvironment({ ...least, FLOWCTL_LISTEN: "127.0.0.1:0" }).healthHost).toBe("127.0.0.1");
    expect(readEnvironment({ ...least, FLOWCTL_LISTEN: "0.0.0.0:50051" }).healthHost).toBe("0.0.0.0");
  });

  it.each([
    ["FLOWCTL_PIPELINE", ""],
    ["FLOWCTL_CONTROL_PLANE", ""],
    ["FLOWCTL_HEALTH_PORT", "eighty"],
    ["FLOWCTL_INSTANCE_INDEX", "0"],
    ["FLOWCTL_CONFIG", "{"],
    ["FLOWCTL_LOG_LEVEL", "loud"],
    ["FLOWCTL_COMPONENT_TYPE", "pipe"],
    ["FLOWCTL_TLS_CA", ""],
  ])("refuses %s=%s by name", (name, value) => {
    const identity = name === "FLOWCTL_TLS_CA" ? { FLOWCTL_TLS_CERT: "c", FLOWCTL_TLS_KEY: "k" } : {};
    expect(() => readEnvironment({ ...least, ...identity, [name]: value })).toThrowError(
      expect.objectContaining({ code: "sdk/environment", message: expect.stringContaining(name) }),
    );
  });
});
