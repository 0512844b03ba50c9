import { mkdtempSync, readdirSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { describe, expect, test } from "vitest";
import type { Component, Pipeline } from "../../pipeline/pipeline.ts";
import type { DeploymentOptions, DesiredResource } from "../driver.ts";
import { secretDigest } from "./home/secret-digest.ts";
import { desiredResources } from "./prepare.ts";
import type { ProcessEntries } from "./supervisor/entries.ts";

const entries: ProcessEntries = {
  supervisor: ["/node", "/supervisor.js"],
  component: ["/node", "/component.js"],
  supervisorCode: "s1",
  componentCode: "c1",
};
const options: DeploymentOptions = { persistence: true, logLevel: "info" };

function component(id: string, more: Partial<Component> = {}): Component {
  return {
    ...{ id, type: "processor", uses: "filter", with: {}, hostPaths: [], inputs: [], consumes: [], produces: [] },
    ...{ replicas: 1, onError: { action: "fail", retries: 0, backoffMs: 0 }, environment: {}, dependsOn: {} },
    ...{ labels: {}, networks: [], ports: [], mounts: [], tmpfs: [], secrets: [], configs: [], extraHosts: [] },
    ...{ readOnly: false, restart: { name: "on-failure" }, stopGracePeriodMs: 10_000, ulimits: {}, limits: {} },
    reservations: {},
    ...more,
  } as Component;
}

function prepare(
  components: readonly Component[],
  more: {
    readonly entries?: Partial<ProcessEntries>;
    readonly pipeline?: Partial<Pipeline>;
    readonly options?: Partial<DeploymentOptions>;
  } = {},
  told: string[] = [],
): readonly DesiredResource[] {
  const pipeline: Pipeline = {
    ...{ name: "p", directory: "/", files: [], components, services: [], secrets: {}, configs: {}, volumes: {} },
    ...{ networks: {}, schemas: {} },
    ...more.pipeline,
  };
  return desiredResources(
    {
      ...{ pipeline, secretValues: new Map([["key", Buffer.from("value")]]), configValues: new Map() },
      options: { ...options, ...more.options },
    },
    { entries: { ...entries, ...more.entries }, version: "1", path: "/usr/bin:/bin", digest: () => "mac" },
    { progress: ({ subject, text }) => void told.push(`${subject}: ${text}`) },
  );
}

function find(resources: readonly DesiredResource[], key: string): DesiredResource {
  const found = resources.find((resource) => resource.key === key);
  if (found === undefined) throw new Error(`no ${key}`);
  return found;
}

describe("what is desired", () => {
  test("is another control plane, and nothing else, where its metrics are to be for whoever has access", () => {
    const [before, after] = [prepare([component("a")]), prepare([component("a")], { options: { metrics: "token" } })];
    const changed = after.filter(({ key, hash }) => find(before, key).hash !== hash);
    expect(changed.map(({ key, spec }) => [key, spec])).toMatchObject([["control-plane/1", { metrics: "token" }]]);
    expect(prepare([component("a")], { options: { metrics: "open" } })).toEqual(before);
  });

  test("is the state, the control plane after it, and each instance after the control plane", () => {
    const resources = prepare([component("a", { replicas: 2 })]);
    expect(resources.map(({ key }) => key)).toEqual([
      "volume/state",
      "control-plane/1",
      "component/a-1",
      "component/a-2",
    ]);
    expect(find(resources, "control-plane/1").after).toEqual([{ key: "volume/state", condition: "exists" }]);
    expect(find(resources, "component/a-2").after).toEqual([{ key: "control-plane/1", condition: "started" }]);
  });

  test("waits for every instance of what it depends on, in the state that the file says", () => {
    const dependsOn = {
      a: { condition: "service_healthy", required: true, restart: false },
      c: { condition: "service_completed_successfully", required: true, restart: false },
    } as const;
    const resources = prepare([component("a", { replicas: 2 }), component("b", { dependsOn }), component("c")]);
    expect(find(resources, "component/b-1").after).toEqual([
      { key: "control-plane/1", condition: "started" },
      { key: "component/a-1", condition: "healthy" },
      { key: "component/a-2", condition: "healthy" },
      { key: "component/c-1", condition: "completed" },
    ]);
  });

  test("is a built-in by its name, and a command by its program's path, after the entrypoint", () => {
    const { uses: _, ...own } = component("b", { entrypoint: ["sh", "-c"], command: ["true"] });
    const resources = prepare([component("a", { uses: "map" }), own]);
    expect(find(resources, "component/a-1").spec).toMatchObject({ argv: ["/node", "/component.js", "map"] });
    expect(find(resources, "component/b-1").spec).toMatchObject({
      argv: [expect.stringMatching(/^\/(usr\/)?bin\/sh$/), "-c", "true"],
    });
  });

  test("says what of a component it leaves out, because processes have no such thing", () => {
    const told: string[] = [];
    const containerish = { user: "1000", ports: [{ hostIp: "127.0.0.1", target: 80, protocol: "tcp" }] } as const;
    prepare([component("a", { ...containerish, limits: { cpus: 1 } }), component("b")], {}, told);
    expect(told).toEqual(["component/a: Ignores ports, user, deploy.resources.limits when run as a process"]);
  });

  test("keeps variables that hold secrets from what processes inherit", () => {
    const secrets = { key: { kind: "environment", variable: "THE_KEY" } } as const;
    const resources = prepare([], { pipeline: { secrets } });
    expect(find(resources, "control-plane/1").spec).toMatchObject({ withheld: ["THE_KEY"] });
  });
});

describe("the hash of an instance", () => {
  const partsOf = (more: Partial<Component>, changed: Partial<ProcessEntries> = {}) =>
    find(prepare([component("a", more)], { entries: changed }), "component/a-1").parts;
  const differing = (more: Partial<Component>, changed: Partial<ProcessEntries> = {}): readonly string[] => {
    const [before, after] = [partsOf({}), partsOf(more, changed)];
    return Object.keys({ ...before, ...after }).filter((part) => before[part] !== after[part]);
  };

  test("names the part that changed", () => {
    expect(differing({})).toEqual([]);
    expect(differing({ environment: { A: "1" } })).toEqual(["environment"]);
    expect(differing({ with: { where: "true" } })).toEqual(["with"]);
    expect(differing({ uses: "map" })).toEqual(["uses"]);
    expect(differing({ type: "sink" })).toEqual(["type"]);
    expect(differing({ stopGracePeriodMs: 1 })).toEqual(["stop_grace_period"]);
    expect(differing({ secrets: [{ source: "key", target: "/run/secrets/key" }] })).toEqual(["secrets"]);
    expect(differing({}, { componentCode: "c2" })).toEqual(["code"]);
  });

  test("is the same wherever flowctl is installed, and whatever else the file says of replicas and labels", () => {
    expect(differing({}, { component: ["/other/node", "/other/component.js"] })).toEqual([]);
    expect(differing({ replicas: 3, labels: { a: "b" } })).toEqual([]);
  });

  test("of a command does not change with flowctl's own code", () => {
    const { uses: _, ...own } = component("a", { command: ["sh"] });
    const hash = (changed: Partial<ProcessEntries>) => find(prepare([own], { entries: changed }), "component/a-1").hash;
    expect(hash({ componentCode: "c2" })).toBe(hash({}));
  });
});

test("secrets are digested with a key of the home, which only looking does not make", async () => {
  const home = mkdtempSync(join(tmpdir(), "flowctl-digest-"));
  const value = Buffer.from("value");
  const looked = (await secretDigest(home, { readOnly: true }))(value);
  expect(readdirSync(home)).toEqual([]);
  const made = (await secretDigest(home, { readOnly: false }))(value);
  expect(made).not.toBe(looked);
  expect((await secretDigest(home, { readOnly: true }))(value)).toBe(made);
  expect(made).not.toContain("value");
  rmSync(home, { recursive: true });
});

test("a variable that becomes a secret replaces the supervisor, which had inherited it", () => {
  const secrets = { key: { kind: "environment", variable: "KEY" } } as const;
  const [before, after] = [prepare([component("a")]), prepare([component("a")], { pipeline: { secrets } })];
  const [old, now] = [find(before, "control-plane/1"), find(after, "control-plane/1")];
  expect(now.hash).not.toBe(old.hash);
  expect(Object.keys(now.parts).filter((part) => now.parts[part] !== old.parts[part])).toEqual(["secrets"]);
});

test("a secret whose target changes replaces its instance", () => {
  const of = (target: string) =>
    find(prepare([component("a", { secrets: [{ source: "key", target }] })]), "component/a-1");
  expect(of("/run/secrets/other").hash).not.toBe(of("/run/secrets/key").hash);
});
