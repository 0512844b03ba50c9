import { describe, expect, it } from "vitest";
import type { Component, Pipeline, Service } from "../../../pipeline/pipeline.ts";
import type { Deployment, DesiredResource } from "../../driver.ts";
import type { ImageFacts } from "../container/container-spec.ts";
import { desiredResources, type PreparedFacts } from "./resources.ts";

const settings = {
  environment: {},
  dependsOn: {},
  labels: {},
  networks: [],
  ports: [],
  mounts: [],
  tmpfs: [],
  secrets: [],
  configs: [],
  extraHosts: [],
  readOnly: false,
  restart: { name: "no" },
  stopGracePeriodMs: 10_000,
  ulimits: {},
  limits: {},
  reservations: {},
} as const;

const image: ImageFacts = { name: "x:1", reference: "sha256:1", user: "", volumes: [], healthcheck: false };

function component(id: string, more: Partial<Component> = {}): Component {
  return {
    ...settings,
    ...{ id, type: "processor", uses: "filter", with: {}, hostPaths: [], inputs: [], consumes: [], produces: [] },
    ...{ replicas: 1, onError: { action: "fail", retries: 0, backoffMs: 0 }, ...more },
  } as Component;
}

function service(id: string, more: Partial<Service> = {}): Service {
  return { ...settings, id, image: "x:1", replicas: 1, ...more };
}

function deployment(more: Partial<Pipeline> = {}, secrets: Record<string, string> = {}): Deployment {
  return {
    pipeline: {
      ...{ name: "p", directory: "/d", files: [], components: [], services: [], secrets: {}, configs: {} },
      ...{ volumes: {}, networks: {}, schemas: {}, ...more },
    },
    secretValues: new Map(Object.entries(secrets).map(([key, value]) => [key, Buffer.from(value)])),
    configValues: new Map(),
    options: { persistence: true, logLevel: "info" },
  };
}

const hashKey = new Uint8Array(32);
const authority = "a";

function facts(more: Partial<PreparedFacts> = {}): PreparedFacts {
  return {
    flowctlImage: { ...image, healthcheck: true },
    images: new Map(),
    hosts: new Map(),
    hashKey,
    authority,
    ...more,
  };
}

const keys = (resources: readonly DesiredResource[]) => resources.map(({ key }) => key);
const find = (resources: readonly DesiredResource[], key: string): DesiredResource => {
  const found = resources.find((resource) => resource.key === key);
  if (found === undefined) throw new Error(`${key} is not among ${keys(resources).join(", ")}`);
  return found;
};
const partsThatDiffer = (a: DesiredResource, b: DesiredResource) =>
  Object.keys({ ...a.parts, ...b.parts }).filter((part) => a.parts[part] !== b.parts[part]);

describe("the resources of a deployment", () => {
  it("has an engine access beside the control plane where there is a socket of the engine, and replaces it by itself", () => {
    const socket = { path: "/run/docker.sock", group: "999" };
    const [before, after] = [socket, { ...socket, group: "998" }].map((one) =>
      desiredResources(deployment(), facts({ socket: one })),
    ) as [readonly DesiredResource[], readonly DesiredResource[]];
    expect(before.map(({ key }) => key)).toEqual([
      "network/default",
      "volume/flowctl_control-plane",
      "volume/flowctl_engine-access",
      "engine-access/1",
      "control-plane/1",
    ]);
    const changed = after.filter(({ hash }, at) => hash !== before[at]?.hash);
    expect(changed.map(({ key }) => key)).toEqual(["engine-access/1"]);
  });

  it("are a network, volumes, the control plane, and one container an instance", () => {
    const components = [component("a"), component("b", { replicas: 2 })];
    expect(keys(desiredResources(deployment({ components, services: [service("db")] }), facts()))).toEqual([
      "network/default",
      "volume/flowctl_control-plane",
      "volume/flowctl_state_a-1",
      "volume/flowctl_state_b-1",
      "volume/flowctl_state_b-2",
      "control-plane/1",
      "service/db-1",
      "component/a-1",
      "component/b-1",
      "component/b-2",
    ]);
  });

  it("leave out what the file calls external, and nothing waits for that", () => {
    const external = { external: true, driverOpts: {}, internal: false, labels: {} };
    const mounts = [{ type: "volume", source: "data", target: "/data", readOnly: false }] as const;
    const components = [component("a", { networks: ["shared"], mounts })];
    const resources = desiredResources(
      deployment({ components, networks: { shared: external }, volumes: { data: external } }),
      facts(),
    );
    expect(keys(resources)).not.toContain("network/shared");
    expect(keys(resources)).not.toContain("volume/data");
    const waitsFor = find(resources, "component/a-1").after.map(({ key }) => key);
    expect(waitsFor.every((key) => keys(resources).includes(key))).toBe(true);
  });

  it("have a volume for what an image declares as one, so that it can be removed", () => {
    const images = new Map([["db", { ...image, volumes: ["/var/lib/db"] }]]);
    const resources = desiredResources(deployment({ services: [service("db")] }), facts({ images }));
    expect(keys(resources)).toContain("volume/flowctl_db-1_var-lib-db");
    expect(find(resources, "service/db-1").after.map(({ key }) => key)).toContain("volume/flowctl_db-1_var-lib-db");
  });

  it("wait for what they depend on, all instances of it, in the state that the file says", () => {
    const on = (condition: "service_started" | "service_healthy" | "service_completed_successfully") => {
      return { condition, required: true, restart: false };
    };
    const dependsOn = {
      db: on("service_healthy"),
      once: on("service_completed_successfully"),
      many: on("service_started"),
    };
    const components = [component("a", { dependsOn }), component("many", { replicas: 2 })];
    const services = [service("db"), service("once")];
    expect(find(desiredResources(deployment({ components, services }), facts()), "component/a-1").after).toEqual([
      { key: "control-plane/1", condition: "started" },
      { key: "volume/flowctl_state_a-1", condition: "exists" },
      { key: "network/default", condition: "exists" },
      { key: "service/db-1", condition: "healthy" },
      { key: "service/once-1", condition: "completed" },
      { key: "component/many-1", condition: "started" },
      { key: "component/many-2", condition: "started" },
    ]);
  });

  it("wait for a component's health only where its container has a check", () => {
    const dependsOn = { b: { condition: "service_healthy", required: true, restart: false } } as const;
    const condition = (b: Partial<Component>, images = new Map<string, ImageFacts>()) => {
      const components = [component("a", { dependsOn }), component("b", b)];
      const { after } = find(desiredResources(deployment({ components }), facts({ images })), "component/a-1");
      return after.find(({ key }) => key === "component/b-1")?.condition;
    };
    expect(condition({})).toBe("healthy");
    expect(condition({}, new Map([["b", image]]))).toBe("started");
    expect(condition({ healthcheck: { disable: true } })).toBe("started");
    expect(condition({ healthcheck: { test: ["CMD", "x"], disable: false } }, new Map([["b", image]]))).toBe("healthy");
  });
});

describe("another authority of the pipeline", () => {
  it("is a change of the control plane and of every component, and of nothing else", () => {
    const of = (id: string) =>
      desiredResources(
        deployment({ components: [component("a")], services: [service("db")] }),
        facts({ authority: id }),
      );
    const [before, after] = [of("one"), of("two")];
    const changed = before.filter(({ key, hash }) => find(after, key).hash !== hash);
    expect(keys(changed)).toEqual(["control-plane/1", "component/a-1"]);
    for (const resource of changed) expect(partsThatDiffer(resource, find(after, resource.key))).toEqual(["identity"]);
  });
});

describe("the hash of a container", () => {
  const of = (more: Partial<Component>, with_: Partial<PreparedFacts> = {}, rest: Partial<Pipeline> = {}) =>
    find(desiredResources(deployment({ components: [component("a", more)], ...rest }), facts(with_)), "component/a-1");

  it.each([
    ["environment", { environment: { A: "1" } }],
    ["with", { with: { rate: 1 } }],
    ["uses", { uses: "map" }],
    ["ports", { ports: [{ hostIp: "127.0.0.1", target: 80, protocol: "tcp" }] }],
    ["volumes", { mounts: [{ type: "tmpfs", target: "/x", readOnly: false }] }],
    ["deploy.resources", { limits: { cpus: 1 } }],
    ["tmpfs", { tmpfs: ["/x"] }],
    ["ulimits", { ulimits: { nofile: { soft: 1, hard: 2 } } }],
    ["extra_hosts", { extraHosts: ["a:1.2.3.4"] }],
    ["stop_grace_period", { stopGracePeriodMs: 1500 }],
    ["type", { type: "source" }],
    ["user", { user: "5" }],
    ["labels", { labels: { a: "b" } }],
    ["restart", { restart: { name: "always" } }],
    ["secrets", { secrets: [{ source: "key", target: "/run/secrets/key" }] }],
    ["healthcheck", { healthcheck: { disable: true } }],
  ] as const)("changes in the part %s when that changes", (part, more) => {
    expect(partsThatDiffer(of({}), of(more as Partial<Component>))).toEqual([part]);
    expect(of(more as Partial<Component>).hash).not.toBe(of({}).hash);
  });

  it("changes with the image behind the same tag", () => {
    const rebuilt = { flowctlImage: { ...image, reference: "sha256:2", healthcheck: true } };
    expect(partsThatDiffer(of({}), of({}, rebuilt))).toEqual(["image"]);
  });

  it("changes with the settings of its networks, since those are made anew", () => {
    const network = (internal: boolean) => ({
      networks: { back: { external: false, driverOpts: {}, internal, labels: {} } },
    });
    const inBack = { networks: ["back"] };
    expect(partsThatDiffer(of(inBack, {}, network(false)), of(inBack, {}, network(true)))).toEqual(["networks"]);
  });

  it("does not change with the number of instances, of sources neither: partitions are assigned", () => {
    expect(of({ replicas: 2 }).hash).toBe(of({}).hash);
    expect(of({ type: "source", replicas: 2 }).hash).toBe(of({ type: "source" }).hash);
  });

  it("does not change because another component begins to wait for its health", () => {
    const dependsOn = { a: { condition: "service_healthy", required: true, restart: false } } as const;
    const beside = (more: Partial<Component>) =>
      find(
        desiredResources(deployment({ components: [component("a"), component("b", more)] }), facts()),
        "component/a-1",
      );
    expect(beside({ dependsOn }).hash).toBe(beside({}).hash);
  });

  it("changes with the value of a secret that is granted, and with no other", () => {
    const components = [component("a", { secrets: [{ source: "key", target: "/run/secrets/key" }] }), component("b")];
    const holding = (key: string, name = "p") => desiredResources(deployment({ name, components }, { key }), facts());
    const [one, two] = [holding("same"), holding("changed")];
    expect(partsThatDiffer(find(one, "component/a-1"), find(two, "component/a-1"))).toEqual(["secrets"]);
    expect(find(one, "component/b-1").hash).toBe(find(two, "component/b-1").hash);
    expect(JSON.stringify(two)).not.toContain("changed");
  });

  it("does not show that two pipelines share a secret", () => {
    const components = [component("a", { secrets: [{ source: "key", target: "/run/secrets/key" }] })];
    const part = (name: string) =>
      find(desiredResources(deployment({ name, components }, { key: "same" }), facts()), "component/a-1").parts.secrets;
    expect(part("p")).not.toBe(part("q"));
  });

  it("is another one of the same secret with another key: whoever does not have it cannot check a guess", () => {
    const components = [component("a", { secrets: [{ source: "key", target: "/run/secrets/key" }] }), component("b")];
    const [one, two] = [hashKey, new Uint8Array(32).fill(1)].map((key) =>
      desiredResources(deployment({ components }, { key: "same" }), facts({ hashKey: key })),
    ) as [DesiredResource[], DesiredResource[]];
    expect(partsThatDiffer(find(one, "component/a-1"), find(two, "component/a-1"))).toEqual(["secrets"]);
    expect(find(one, "component/b-1").hash).toBe(find(two, "component/b-1").hash);
  });

  it("says with which key it was made where it has secrets: those of two keys cannot be compared", () => {
    const components = [component("a", { secrets: [{ source: "key", target: "/run/secrets/key" }] }), component("b")];
    const keysOf = (secret: string, key: Uint8Array) =>
      desiredResources(deployment({ components }, { key: secret }), facts({ hashKey: key })).flatMap(({ parts }) =>
        Object.values(parts)
          .filter((part) => part.includes(":"))
          .map((part) => part.split(":")[0]),
      );
    const [own] = keysOf("same", hashKey);
    expect(keysOf("same", hashKey)).toEqual([own]);
    expect(keysOf("changed", hashKey)).toEqual([own]);
    expect(keysOf("same", new Uint8Array(32).fill(1))).not.toEqual([own]);
  });
});
