import { describe, expect, it } from "vitest";
import type { Deployment, DesiredResource } from "../../drivers/driver.ts";
import type { Component, Pipeline } from "../../pipeline/pipeline.ts";
import { changedSecrets, keptOf, openKept, sealKept, withComponents } from "./kept.ts";

const key = new Uint8Array(32).fill(1);
const component = (id: string, replicas = 1): Component => ({ id, replicas }) as Component;

function deployment(components: readonly Component[], secret = "hunter2"): Deployment {
  const pipeline = { name: "p", components, services: [] as unknown } as Pipeline;
  return {
    pipeline,
    secretValues: new Map([["token", Buffer.from(secret)]]),
    configValues: new Map([["rules", Buffer.from("a: 1")]]),
    options: { persistence: true, logLevel: "info" },
  };
}

const resources = [{ owner: "a", image: "sha256:1" }, { owner: "b" }] as DesiredResource[];

describe("what is kept of a pipeline", () => {
  it("is read by whoever has the key, and has contents of configs, ids of images, but no value of a secret", () => {
    const kept = keptOf(deployment([component("a"), component("b")]), resources, key);
    expect(JSON.stringify(kept)).not.toContain("hunter2");
    expect(JSON.stringify(kept)).not.toContain(Buffer.from("hunter2").toString("base64"));
    const opened = openKept(sealKept(kept, key), key);
    expect(opened).toEqual(kept);
    expect(opened?.images).toEqual({ a: "sha256:1" });
    expect(openKept(sealKept(kept, key), new Uint8Array(32))).toBe(undefined);
  });

  it("tells which secrets have other values by now", () => {
    const kept = keptOf(deployment([]), [], key);
    expect(changedSecrets(kept, deployment([]).secretValues, key)).toEqual([]);
    expect(changedSecrets(kept, deployment([], "another").secretValues, key)).toEqual(["token"]);
  });

  it("takes over the components that a command was about, and nothing else", () => {
    const kept = keptOf(deployment([component("a"), component("b")]), resources, key);
    const newer = keptOf(
      deployment([component("a", 3), component("b", 5)]),
      [{ owner: "a", image: "sha256:2" }] as DesiredResource[],
      key,
    );
    const merged = withComponents(kept, newer, new Set(["a"]));
    expect(merged.pipeline.components.map(({ replicas }) => replicas)).toEqual([3, 1]);
    expect(merged.images).toEqual({ a: "sha256:2" });
  });
});
