import { describe, expect, it } from "vitest";
import type { Component, Pipeline, Service } from "../../../pipeline/pipeline.ts";
import { componentContainer } from "./component-container.ts";
import { unnamedVolumeName, unnamedVolumes } from "./container-settings.ts";
import type { ImageFacts } from "./container-spec.ts";
import { controlPlaneContainer } from "./control-plane-container.ts";
import { engineAccessContainer } from "./engine-access-container.ts";
import { placeOf } from "./file-places.ts";
import { serviceContainer } from "./service-container.ts";

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
  restart: { name: "on-failure" },
  stopGracePeriodMs: 10_000,
  ulimits: {},
  limits: {},
  reservations: {},
} as const;

function component(more: Partial<Component> = {}): Component {
  return {
    ...settings,
    id: "a",
    type: "processor",
    image: "acme/a:1",
    with: {},
    hostPaths: [],
    inputs: [],
    consumes: [],
    produces: [],
    replicas: 1,
    onError: { action: "fail", retries: 0, backoffMs: 0 },
    ...more,
  };
}

function builtin(more: Partial<Component> = {}): Component {
  const { image: _, ...rest } = component(more);
  return { ...rest, uses: "filter" };
}

function pipeline(more: Partial<Pipeline> = {}): Pipeline {
  return {
    ...{ name: "p", directory: "/d", files: [], components: [], services: [] },
    ...{ secrets: {}, configs: {}, volumes: {}, networks: {}, schemas: {}, ...more },
  };
}

const options = { persistence: true, logLevel: "info" } as const;
const image: ImageFacts = { name: "acme/a:1", reference: "sha256:1", user: "", volumes: [], healthcheck: false };

function made(of: Component, facts: Partial<ImageFacts> = {}, within = pipeline()) {
  return componentContainer({ pipeline: within, options }, of, 1, { ...image, ...facts }, { folders: [], files: [] });
}

const host = (of: Component, facts?: Partial<ImageFacts>) => made(of, facts).body.HostConfig;

describe("the container of a component", () => {
  it("has no capabilities, gains no privileges and reaps its children", () => {
    expect(host(component())).toMatchObject({
      CapDrop: ["ALL"],
      SecurityOpt: ["no-new-privileges:true"],
      Init: true,
    });
  });

  it("has at most 512 processes, or as many as the file says", () => {
    expect(host(component())).toMatchObject({ PidsLimit: 512 });
    expect(host(component({ limits: { pids: 40 } }))).toMatchObject({ PidsLimit: 40 });
    const service: Service = { ...settings, id: "db", image: "postgres:16", replicas: 1 };
    expect(serviceContainer({ pipeline: pipeline(), options }, service, image).body.HostConfig).not.toHaveProperty(
      "PidsLimit",
    );
  });

  it("can write temporary files into memory where a built-in's root is read-only, as the file says it", () => {
    const tmpfs = (of: Component): unknown => host(of).Tmpfs;
    expect(tmpfs(builtin({ readOnly: true }))).toEqual({ "/tmp": "size=64m,mode=1777" });
    expect(tmpfs(builtin({ readOnly: true, tmpfs: ["/tmp:size=1g", "/scratch"] }))).toEqual({
      "/tmp": "size=1g",
      "/scratch": "",
    });
    expect(
      tmpfs(builtin({ readOnly: true, hostPaths: [{ path: "/tmp", access: "read", kind: "folder" }] })),
    ).toBeUndefined();
    expect(tmpfs(builtin())).toBeUndefined();
    expect(tmpfs(component({ readOnly: true }))).toBeUndefined();
  });

  it.each([
    ["the image's root becomes flowctl's own user", {}, "", "10001:10001"],
    ["a user id of 0 in the image is root too", {}, "0:0", "10001:10001"],
    ["the image's own user is kept", {}, "node", undefined],
    ["what the file says wins, even root", { user: "0" }, "node", "0"],
  ])("runs as somebody who may little: %s", (_, more, user, expected) => {
    expect(made(component(more), { user }).body.User).toBe(expected);
  });

  it("runs as whoever may use its host folders, which are mounted at the same paths", () => {
    const of = builtin({
      hostPaths: [
        { path: "/data/in/a.csv", access: "read", kind: "file" },
        { path: "/data/out", access: "write", kind: "folder" },
        { path: "/data/all/{instance}.jsonl", access: "write", kind: "file" },
      ],
    });
    const folders = [{ path: "/data/out", uid: 1000, gid: 1000 }];
    const files = [{ path: "/data/all/1.jsonl" }, { path: "/data/all/2.jsonl" }];
    const host = { user: "1000:1000", folders, files };
    const spec = componentContainer({ pipeline: pipeline(), options }, of, 2, image, host);
    expect(spec.body.User).toBe("1000:1000");
    expect(spec.hostFolders).toEqual(folders);
    expect(spec.hostFiles).toEqual([{ path: "/data/all/2.jsonl" }]);
    const binds = spec.body.HostConfig.Mounts.filter(({ Type }) => Type === "bind");
    expect(binds.map(({ Source, Target, ReadOnly }) => [Source, Target, ReadOnly])).toEqual([
      ["/data/in/a.csv", "/data/in/a.csv", true],
      ["/data/out", "/data/out", false],
      ["/data/all/2.jsonl", "/data/all/2.jsonl", false],
    ]);
  });

  it("runs a built-in from the flowctl image, with a heap that fits into its memory", () => {
    const { body } = made(builtin({ limits: { memoryBytes: 256 << 20 } }));
    expect(body.Entrypoint).toEqual(["node", "--use-openssl-ca", "/opt/flowctl/dist/component.js"]);
    expect(body.Cmd).toEqual(["filter"]);
    expect(body.Env).toContain("NODE_OPTIONS=--max-old-space-size=192");
  });

  it("is looked at often while it starts only where something waits for its health", () => {
    const idle = made(builtin(), {}, pipeline({ components: [builtin()] })).body.Healthcheck;
    expect(idle).toEqual({ Interval: 60e9, StartInterval: 20e9 });
    const waiting = component({
      id: "b",
      dependsOn: { a: { condition: "service_healthy", required: true, restart: false } },
    });
    const awaited = made(builtin(), {}, pipeline({ components: [builtin(), waiting] })).body.Healthcheck;
    expect(awaited).toEqual({ Interval: 60e9, StartInterval: 2e9 });
  });

  it("keeps what the file says in NODE_OPTIONS, behind its own", () => {
    const of = builtin({ limits: { memoryBytes: 256 << 20 }, environment: { NODE_OPTIONS: "--trace-warnings" } });
    expect(made(of).body.Env).toContain("NODE_OPTIONS=--max-old-space-size=192 --trace-warnings");
  });

  it("leaves NODE_OPTIONS of other images alone", () => {
    const { body } = made(component({ limits: { memoryBytes: 256 << 20 } }));
    expect(body.Env.filter((entry) => entry.startsWith("NODE_OPTIONS"))).toEqual([]);
  });

  it("keeps the image's entrypoint and command unless the file has others, and an empty one takes it away", () => {
    expect(made(component()).body).not.toHaveProperty("Entrypoint");
    expect(made(component()).body).not.toHaveProperty("Cmd");
    expect(made(component({ command: ["run"] })).body.Cmd).toEqual(["run"]);
    expect(made(component({ entrypoint: [] })).body.Entrypoint).toEqual([""]);
  });

  it("publishes ports where the file says, and on any free port where it names none", () => {
    const ports = [
      { hostIp: "127.0.0.1", published: 9000, target: 80, protocol: "tcp" },
      { hostIp: "0.0.0.0", target: 80, protocol: "tcp" },
      { hostIp: "127.0.0.1", target: 53, protocol: "udp" },
    ] as const;
    const { body } = made(component({ ports }));
    expect(body.ExposedPorts).toEqual({ "80/tcp": {}, "53/udp": {} });
    expect(body.HostConfig.PortBindings).toEqual({
      "80/tcp": [
        { HostIp: "127.0.0.1", HostPort: "9000" },
        { HostIp: "0.0.0.0", HostPort: "" },
      ],
      "53/udp": [{ HostIp: "127.0.0.1", HostPort: "" }],
    });
  });

  it("turns every Compose key into the engine's own", () => {
    const { body } = made(
      component({
        extraHosts: ["db:10.0.0.1", "host.docker.internal=host-gateway"],
        healthcheck: { test: ["CMD", "true"], intervalMs: 5000, startIntervalMs: 500, retries: 2, disable: false },
        labels: { team: "x" },
        limits: { cpus: 0.5, memoryBytes: 1024, pids: 50 },
        readOnly: true,
        reservations: { memoryBytes: 512 },
        restart: { name: "on-failure", maxRetries: 3 },
        stopGracePeriodMs: 1500,
        tmpfs: ["/run", "/tmp:size=64m,mode=1777"],
        ulimits: { nofile: { soft: 100, hard: 200 } },
        workingDir: "/work",
      }),
    );
    expect(body).toMatchObject({
      Healthcheck: { Test: ["CMD", "true"], Interval: 5e9, StartInterval: 5e8, Retries: 2 },
      Labels: { team: "x" },
      StopTimeout: 2,
      WorkingDir: "/work",
      HostConfig: {
        ExtraHosts: ["db:10.0.0.1", "host.docker.internal:host-gateway"],
        NanoCpus: 5e8,
        Memory: 1024,
        MemoryReservation: 512,
        PidsLimit: 50,
        ReadonlyRootfs: true,
        RestartPolicy: { Name: "on-failure", MaximumRetryCount: 3 },
        Tmpfs: { "/run": "", "/tmp": "size=64m,mode=1777" },
        Ulimits: [{ Name: "nofile", Soft: 100, Hard: 200 }],
      },
    });
    expect(made(component({ healthcheck: { disable: true } })).body.Healthcheck).toEqual({ Test: ["NONE"] });
  });

  it("mounts binds, named volumes and tmpfs, and its state volume", () => {
    const mounts = [
      { type: "bind", source: "/src", target: "/src", readOnly: true },
      { type: "volume", source: "data", target: "/data", readOnly: false },
      { type: "tmpfs", target: "/scratch", readOnly: false },
    ] as const;
    expect(host(component({ mounts })).Mounts).toEqual([
      { Type: "volume", Source: "flowctl_p_state_a-1", Target: "/var/lib/flowctl/state", ReadOnly: false },
      { Type: "volume", Source: "", Target: "/run/flowctl", ReadOnly: false },
      { Type: "bind", Source: "/src", Target: "/src", ReadOnly: true, BindOptions: { CreateMountpoint: true } },
      { Type: "volume", Source: "p_data", Target: "/data", ReadOnly: false },
      { Type: "tmpfs", Source: "", Target: "/scratch", ReadOnly: false },
    ]);
  });

  it("joins the pipeline's network and those of the file under its ids", () => {
    const within = pipeline({
      networks: {
        back: { external: false, driverOpts: {}, internal: false, labels: {} },
        shared: { external: true, driverOpts: {}, internal: false, labels: {} },
      },
    });
    expect(made(component({ networks: ["back", "shared"] }), {}, within).networks).toEqual([
      { name: "flowctl_p", aliases: ["a", "a-1"] },
      { name: "p_back", aliases: ["a", "a-1"] },
      { name: "shared", aliases: ["a", "a-1"] },
    ]);
  });

  it("advertises its container's name where another component has the instance's id", () => {
    const within = pipeline({ components: [component(), component({ id: "a-1" })] });
    expect(made(component(), {}, within).body.Env).toContain("FLOWCTL_ADVERTISE=p-a-1:50051");
    expect(made(component()).body.Env).toContain("FLOWCTL_ADVERTISE=a-1:50051");
  });

  it("names granted files and holds no value of them", () => {
    const secrets = [{ source: "key", target: "/run/secrets/key" }];
    const configs = [{ source: "conf", target: "/conf", mode: 0o444, uid: "5" }];
    expect(made(component({ secrets, configs })).files).toEqual([
      { kind: "secret", source: "key", target: "/run/secrets/key" },
      { kind: "config", source: "conf", target: "/conf", mode: 0o444, uid: "5" },
    ]);
  });

  it("gets a volume for what it joins with, and for secrets, and for every file where its root cannot be written", () => {
    const volume = (Target: string) => ({ Type: "volume", Source: "", Target, ReadOnly: false });
    const mounts = (more: Partial<Component>) => host(component(more)).Mounts.filter(({ Source }) => Source === "");
    const secrets = [
      { source: "key", target: "/run/secrets/key" },
      { source: "other", target: "/etc/app/other" },
    ];
    const configs = [{ source: "conf", target: "/etc/conf/conf" }];
    expect(mounts({ secrets, configs })).toEqual([volume("/run/flowctl"), volume("/run/secrets")]);
    expect(mounts({ configs })).toEqual([volume("/run/flowctl")]);
    // The first holds the state's own folder.
    const folders = ["/var/lib/flowctl", "/run/flowctl", "/run/secrets", "/etc/app", "/etc/conf"];
    expect(mounts({ secrets, configs, readOnly: true })).toEqual(folders.map(volume));
  });

  it("has its secrets in the volume, wherever they are wanted, as long as links can be made", () => {
    const secret = (target: string) => ({ kind: "secret", source: "key", target }) as const;
    expect(placeOf(secret("/run/secrets/key"), false)).toBe("/run/secrets/key");
    expect(placeOf(secret("/run/secrets/below/key"), false)).toBe("/run/secrets/below/key");
    expect(placeOf(secret("/etc/key"), false)).toMatch(/^\/run\/secrets\/\.[0-9a-f]{16}$/);
    expect(placeOf(secret("/etc/key"), true)).toBe("/etc/key");
    expect(placeOf({ ...secret("/etc/key"), kind: "config" }, false)).toBe("/etc/key");
  });

  it("is plain data that survives JSON", () => {
    const spec = made(component({ ports: [{ hostIp: "127.0.0.1", target: 80, protocol: "tcp" }] }));
    expect(JSON.parse(JSON.stringify(spec))).toEqual(spec);
  });
});

describe("the container of a service", () => {
  it("is a plain Compose service: the engine's capabilities, the image's user, secrets that all may read", () => {
    const service: Service = {
      ...settings,
      ...{ id: "db", replicas: 1, image: "db:1", secrets: [{ source: "key", target: "/run/secrets/key" }] },
    };
    const spec = serviceContainer({ pipeline: pipeline(), options }, service, image);
    expect(spec.body.HostConfig).not.toHaveProperty("CapDrop");
    expect(spec.body).not.toHaveProperty("User");
    expect(spec.networks).toEqual([{ name: "flowctl_p", aliases: ["db", "db-1"] }]);
    expect(spec.files).toEqual([{ kind: "secret", source: "key", target: "/run/secrets/key", mode: 0o444 }]);
  });
});

describe("the container of the control plane", () => {
  const spec = controlPlaneContainer({ pipeline: pipeline(), options }, image, true);

  it("publishes its ports on this machine only", () => {
    expect(spec.name).toBe("flowctl_p_control-plane");
    expect(spec.networks).toEqual([{ name: "flowctl_p", aliases: ["control-plane"] }]);
    expect(spec.body).toMatchObject({ User: "10001:10001" });
    expect(spec.body.HostConfig).toMatchObject({
      CapDrop: ["ALL"],
      PortBindings: {
        "8080/tcp": [{ HostIp: "127.0.0.1", HostPort: "" }],
        "8081/tcp": [{ HostIp: "127.0.0.1", HostPort: "" }],
      },
    });
  });

  it("has nothing of the engine, and what it reaches the engine access by can only be read", () => {
    expect(JSON.stringify(spec)).not.toContain("docker.sock");
    expect(spec.body.HostConfig).not.toHaveProperty("GroupAdd");
    expect(spec.body.HostConfig.Mounts).toEqual([
      { Type: "volume", Source: "flowctl_p_control-plane", Target: "/var/lib/flowctl", ReadOnly: false },
      { Type: "volume", Source: "flowctl_p_engine-access", Target: "/run/flowctl", ReadOnly: true },
    ]);
  });

  it("has no engine access where there is none", () => {
    const alone = controlPlaneContainer({ pipeline: pipeline(), options }, image, false);
    expect(JSON.stringify(alone)).not.toContain("engine-access");
  });
});

describe("the container of the engine access", () => {
  it("has the engine's socket with its group, no network, and nothing to write to but the volume of its own socket", () => {
    const socket = { path: "/run/docker.sock", group: "999" };
    const spec = engineAccessContainer({ pipeline: pipeline(), options }, image, socket);
    expect(spec.name).toBe("flowctl_p_engine-access");
    expect(spec.networks).toEqual([]);
    expect(spec.body).toMatchObject({ User: "10001:10001" });
    expect(spec.body).not.toHaveProperty("ExposedPorts");
    expect(spec.body.HostConfig).toMatchObject({
      CapDrop: ["ALL"],
      SecurityOpt: ["no-new-privileges:true"],
      NetworkMode: "none",
      ReadonlyRootfs: true,
      GroupAdd: ["999"],
      Memory: 128 * 1024 * 1024,
      PidsLimit: 64,
    });
    expect(spec.body.HostConfig).not.toHaveProperty("Tmpfs");
    expect(spec.body.HostConfig.Mounts).toEqual([
      { Type: "volume", Source: "flowctl_p_engine-access", Target: "/var/lib/flowctl", ReadOnly: false },
      { Type: "bind", Source: "/run/docker.sock", Target: "/var/run/docker.sock", ReadOnly: false },
    ]);
  });
});

describe("the metrics of the control plane", () => {
  it.each([
    ["token", ["FLOWCTL_METRICS=token"]],
    ["open", []],
  ] as const)("are %s when that is asked for", (metrics, said) => {
    const { body } = controlPlaneContainer({ pipeline: pipeline(), options: { ...options, metrics } }, image, false);
    expect(body.Env?.filter((variable) => variable.startsWith("FLOWCTL_METRICS="))).toEqual(said);
  });
});

describe("volumes without a name", () => {
  const of = component({
    mounts: [
      { type: "volume", target: "/cache", readOnly: false },
      { type: "volume", source: "data", target: "/data", readOnly: false },
    ],
    tmpfs: ["/tmp:size=1m"],
  });

  it("are those of the file and of the image that nothing else is mounted over", () => {
    const facts = { ...image, volumes: ["/data", "/tmp", "/var/lib/db"] };
    expect(unnamedVolumes(of, facts)).toEqual(["/cache", "/var/lib/db"]);
  });

  it("get names of their own, so that they can be kept and removed", () => {
    expect(unnamedVolumeName("p", "db-1", "/var/lib/db")).toBe("flowctl_p_db-1_var-lib-db");
    expect(made(of, { volumes: ["/var/lib/db"] }).body.HostConfig.Mounts).toContainEqual({
      ...{ Type: "volume", Source: "flowctl_p_a-1_var-lib-db", Target: "/var/lib/db", ReadOnly: false },
    });
  });
});
