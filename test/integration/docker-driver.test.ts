import { execFile } from "node:child_process";
import { promisify } from "node:util";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import type { Service } from "../../src/pipeline/pipeline.ts";
import { docker, fixture } from "../conformance/docker-fixture.ts";
import { component, deploymentOf, pipelineOf, STAYS } from "../conformance/driver-pipelines.ts";
import { eventually, World } from "../conformance/driver-world.ts";

beforeAll(() => fixture.setUp());
afterAll(() => fixture.tearDown());

const { settings } = fixture;
const stays = (id = "a", more = {}) => component(id, STAYS, { ...settings, ...more });
/** Runs `script` first, and stays. */
const does = (script: string, more = {}) => component("a", `${script};${STAYS}`, { ...settings, ...more });

async function declaredIn(world: World, instance = "a-1"): Promise<string[]> {
  const lines = await world.untilSaid(instance, "up");
  return lines.filter(({ stream }) => stream === "stdout").map(({ text }) => text);
}

function service(id: string, more: Partial<Service> = {}): Service {
  const { type, with: _, hostPaths, inputs, consumes, produces, onError, ...rest } = stays(id);
  return { ...rest, id, replicas: 1, ...more } as Service;
}

describe("a component's container", () => {
  it("runs without root, without any capability and cannot gain one", async () => {
    await using world = new World(fixture);
    const script = `
      const status = require("node:fs").readFileSync("/proc/self/status", "utf8");
      console.log([process.getuid(), /CapBnd:\\s*(\\w+)/.exec(status)[1], /NoNewPrivs:\\s*(\\w+)/.exec(status)[1]].join(" "))`;
    await world.up(deploymentOf(pipelineOf(world.name, [does(script)])));
    expect(await declaredIn(world)).toEqual(["10001 0000000000000000 1"]);
  });

  it("is found by others under its component's and its instance's id, and finds the control plane", async () => {
    await using world = new World(fixture);
    const script = `
      const { lookup } = require("node:dns/promises");
      Promise.all(["b", "b-1", "b-2", "control-plane"].map((name) => lookup(name))).then(() => console.log("all"))`;
    const components = [does(script, { restart: { name: "on-failure" } }), stays("b", { replicas: 2 })];
    await world.up(deploymentOf(pipelineOf(world.name, components)));
    await world.untilSaid("a-1", "all");
  });

  it("publishes its ports on this machine only", async () => {
    await using world = new World(fixture);
    const script = `require("node:http").createServer((_, answer) => answer.end("here")).listen(8000)`;
    const ports = [{ hostIp: "127.0.0.1", target: 8000, protocol: "tcp" } as const];
    await world.up(deploymentOf(pipelineOf(world.name, [does(script, { ports })])));
    const [port] = (await world.find("component/a-1")).ports;
    expect(port).toMatch(/^127\.0\.0\.1:\d+->8000\/tcp$/);
    await eventually(async () => {
      const answer = await fetch(`http://${port?.split("->")[0]}`, { signal: AbortSignal.timeout(2_000) });
      expect(await answer.text()).toBe("here");
    });
  });

  it("gets configs and secrets as files, and its state folder, even where its root is read-only", async () => {
    await using world = new World(fixture);
    const script = `
      const { readFileSync, writeFileSync } = require("node:fs");
      console.log(readFileSync("/run/secrets/key", "utf8"), readFileSync("/etc/app/conf", "utf8"));
      writeFileSync(process.env.FLOWCTL_STATE_DIR + "/mark", "x");
      try { writeFileSync("/mark", "x"); console.log("writable"); } catch { console.log("read-only"); }`;
    const of = does(script, {
      readOnly: true,
      secrets: [{ source: "key", target: "/run/secrets/key" }],
      configs: [{ source: "conf", target: "/etc/app/conf" }],
    });
    const deployment = {
      ...deploymentOf(pipelineOf(world.name, [of]), { key: "hush" }),
      configValues: new Map([["conf", Buffer.from("plain")]]),
    };
    await world.up(deployment);
    expect(await declaredIn(world)).toEqual(["hush plain", "read-only"]);
  });

  it("has its secrets in no layer that can be committed, wherever it wants them, and over every restart", async () => {
    await using world = new World(fixture);
    const script = `
      const read = (path) => require("node:fs").readFileSync(path, "utf8");
      console.log([read("/run/secrets/key"), read("/etc/app/other")].every((value) => value === "hush" + "-1234"));
      console.log((require("node:fs").statSync("/etc/app/other").mode & 0o777).toString(8))`;
    const secrets = [
      { source: "key", target: "/run/secrets/key" },
      { source: "key", target: "/etc/app/other", mode: 0o440 },
    ];
    await world.up(
      deploymentOf(pipelineOf(world.name, [does(script, { secrets, restart: { name: "always" } })]), {
        key: "hush-1234",
      }),
    );
    await world.untilUp("a-1");
    const running = await world.find("component/a-1");
    await fixture.crash(running);
    await world.untilUp("a-1", 2);
    expect(await declaredIn(world)).toEqual(["true", "440", "true", "440"]);
    const { Mounts } = JSON.parse(await docker("inspect", "-f", "{{json .}}", running.ref)) as {
      readonly Mounts: readonly { readonly Destination: string; readonly Name: string }[];
    };
    const volume = Mounts.find(({ Destination }) => Destination === "/run/secrets")?.Name ?? "none";
    const valueIn = async (command: string): Promise<boolean> => {
      const { stdout } = await promisify(execFile)("sh", ["-c", `${command} | grep -ac hush-1234; true`]);
      return Number(stdout) > 0;
    };
    expect(await valueIn(`docker export ${running.ref}`)).toBe(false);
    expect(await valueIn(`docker cp ${running.ref}:/run/secrets -`)).toBe(true);
    await world.apply({ action: "stop", observed: running, cause: "asked" });
    expect(await valueIn(`docker cp ${running.ref}:/run/secrets -`)).toBe(false);
    await world.apply({ action: "remove", observed: await world.find("component/a-1"), cause: "down" });
    await expect(docker("volume", "inspect", volume)).rejects.toThrow("no such volume");
  });

  it("can write to the named and unnamed volumes that are mounted for it", async () => {
    await using world = new World(fixture);
    const script = `
      const { writeFileSync } = require("node:fs");
      for (const folder of ["/data", "/cache"]) writeFileSync(folder + "/mark", "x");
      console.log("written")`;
    const mounts = [
      { type: "volume", source: "data", target: "/data", readOnly: false },
      { type: "volume", target: "/cache", readOnly: false },
    ];
    const volumes = { data: { external: false, driverOpts: {}, labels: {} } };
    await world.up(deploymentOf(pipelineOf(world.name, [does(script, { mounts })], { volumes })));
    expect(await declaredIn(world)).toEqual(["written"]);
    const names = (await world.observe()).filter(({ kind }) => kind === "volume").map(({ name }) => name);
    expect(names).toEqual(expect.arrayContaining([`${world.name}_data`, `flowctl_${world.name}_a-1_cache`]));
  });

  it("takes an environment that is larger than a request's address may be", async () => {
    await using world = new World(fixture);
    const environment = Object.fromEntries(Array.from({ length: 15 }, (_, n) => [`BIG_${n}`, "x".repeat(100_000)]));
    const script = `console.log(Object.keys(process.env).filter((name) => name.startsWith("BIG_")).length)`;
    await world.up(deploymentOf(pipelineOf(world.name, [does(script, { environment })])));
    expect(await declaredIn(world)).toEqual(["15"]);
  });
});

describe("a container that the engine refuses to make", () => {
  it("makes an error that says what to look at", async () => {
    await using world = new World(fixture);
    const limits = { memoryBytes: 1024 };
    await expect(world.up(deploymentOf(pipelineOf(world.name, [stays("a", { limits })])))).rejects.toMatchObject({
      code: "docker/refused",
      kind: "invalid",
      fix: expect.stringContaining(`${world.name}-a-1`),
    });
  });
});

describe("what is not flowctl's", () => {
  it("is never touched: a container that has the name makes a clear error", async () => {
    await using world = new World(fixture);
    const name = `${world.name}-a-1`;
    const foreign = await docker("create", "--name", name, settings.image ?? "");
    try {
      await expect(world.up(deploymentOf(pipelineOf(world.name, [stays()])))).rejects.toMatchObject({
        code: "docker/name-taken",
        message: expect.stringContaining(name),
        fix: expect.stringContaining(`docker rm -f ${name}`),
      });
      expect(await docker("inspect", "-f", "{{.Id}}", name)).toBe(foreign);
    } finally {
      await docker("rm", "-f", "-v", name);
    }
  });

  it.each(["network", "volume"])("is never taken over: a %s that has the name makes a clear error", async (what) => {
    await using world = new World(fixture);
    const name = what === "network" ? `flowctl_${world.name}` : `flowctl_${world.name}_control-plane`;
    await docker(what, "create", name);
    try {
      await expect(world.up(deploymentOf(pipelineOf(world.name, [])))).rejects.toMatchObject({
        code: "docker/name-taken",
        message: expect.stringContaining(name),
      });
    } finally {
      await docker(what, "rm", name);
    }
  });

  it("keeps a volume that it uses, and what to do about it is said", async () => {
    await using world = new World(fixture);
    const name = `${world.name}_data`;
    const volumes = { data: { external: false, driverOpts: {}, labels: {} } };
    await world.up(deploymentOf(pipelineOf(world.name, [], { volumes })));
    const guest = await docker("create", "-v", `${name}:/data`, settings.image ?? "");
    try {
      await expect(world.down()).rejects.toMatchObject({ code: "docker/conflict", fix: expect.stringContaining(name) });
    } finally {
      await docker("rm", "-f", "-v", guest);
    }
  });

  it("is used where the file calls it external, and has to exist", async () => {
    await using world = new World(fixture);
    const name = `${world.name}-shared`;
    const networks = { shared: { name, external: true, driverOpts: {}, internal: false, labels: {} } };
    const deployment = deploymentOf(pipelineOf(world.name, [stays("a", { networks: ["shared"] })], { networks }));
    await expect(world.prepare(deployment)).rejects.toMatchObject({ code: "docker/external-missing" });
    await docker("network", "create", name);
    try {
      await world.up(deployment);
      const { ref } = await world.find("component/a-1");
      expect(await docker("inspect", "-f", "{{json .NetworkSettings.Networks}}", ref)).toContain(name);
      await world.down();
      expect(await docker("network", "ls", "-q", "--filter", `name=${name}`)).not.toBe("");
    } finally {
      await docker("network", "rm", name);
    }
  });
});

describe("what is no longer as it was made", () => {
  it("has an unknown hash when it lost its network, so that the next plan replaces it", async () => {
    await using world = new World(fixture);
    const deployment = deploymentOf(pipelineOf(world.name, [stays()]));
    const resources = await world.up(deployment);
    await docker("network", "disconnect", `flowctl_${world.name}`, `${world.name}-a-1`);
    const observed = await world.find("component/a-1");
    expect(observed.hash).toBe("");
    const resource = resources.find(({ key }) => key === "component/a-1");
    if (resource === undefined) throw new Error("not prepared");
    await world.apply({ action: "replace", resource, observed, cause: "lost its network" }, deployment);
    expect((await world.find("component/a-1")).hash).toBe(resource.hash);
  });

  it("has an unknown hash when its network was made anew while it was stopped", async () => {
    await using world = new World(fixture);
    await world.up(deploymentOf(pipelineOf(world.name, [stays()])));
    for (const observed of await world.observe()) await world.apply({ action: "stop", observed, cause: "asked" });
    const network = await world.find("network/default");
    await world.apply({ action: "remove", observed: network, cause: "asked" });
    await world.up(deploymentOf(pipelineOf(world.name, []))).catch(() => undefined);
    expect((await world.find("component/a-1")).hash).toBe("");
  });

  it("is not whole before it was started, and is replaced by the next create", async () => {
    await using world = new World(fixture);
    const deployment = deploymentOf(pipelineOf(world.name, [stays()]));
    await world.up(deployment);
    const { ref, name } = await world.find("component/a-1");
    const labels = JSON.parse(await docker("inspect", "-f", "{{json .Config.Labels}}", ref)) as Record<string, string>;
    await docker("rm", "-f", "-v", ref);
    const flags = Object.entries(labels).flatMap(([key, value]) => ["--label", `${key}=${value}`]);
    await docker("create", "--name", name, ...flags, settings.image ?? "");
    expect(await world.find("component/a-1")).toMatchObject({ hash: "", state: { status: "created" } });
    await world.up(deployment);
    expect((await world.find("component/a-1")).state.status).toBe("running");
  });
});

describe("a service", () => {
  const healthcheck = {
    ...{ test: ["CMD", "node", "-e", "0"], intervalMs: 500, timeoutMs: 5000, retries: 20, disable: false },
  };

  it("is observed to become healthy, and what depends on that says so", async () => {
    await using world = new World(fixture);
    const dependsOn = { db: { condition: "service_healthy", required: true, restart: false } };
    const pipeline = pipelineOf(world.name, [stays("a", { dependsOn })], {
      services: [service("db", { healthcheck })],
    });
    const resources = await world.up(deploymentOf(pipeline));
    expect(resources.find(({ key }) => key === "component/a-1")?.after).toContainEqual({
      ...{ key: "service/db-1", condition: "healthy" },
    });
    const events: string[] = [];
    await world.until(
      "service/db-1",
      ({ state }) => state.status === "running" && state.health === "healthy",
      "healthy",
    );
    expect(events).toEqual([]);
  });

  it("cannot be waited for to become healthy when nothing checks it", async () => {
    await using world = new World(fixture);
    const dependsOn = { db: { condition: "service_healthy", required: true, restart: false } };
    const disabled = { ...healthcheck, test: ["NONE"], disable: true };
    const services = [service("db", { healthcheck: disabled })];
    const pipeline = pipelineOf(world.name, [stays("a", { dependsOn })], { services });
    await expect(world.prepare(deploymentOf(pipeline))).rejects.toMatchObject({ code: "docker/no-healthcheck" });
  });
});

describe("several pipelines on one engine", () => {
  it("come up at the same time and do not see each other", async () => {
    await using one = new World(fixture);
    await using other = new World(fixture);
    await Promise.all([one, other].map((world) => world.up(deploymentOf(pipelineOf(world.name, [stays()])))));
    for (const world of [one, other]) {
      expect((await world.observe()).every(({ name }) => name.includes(world.name))).toBe(true);
    }
    await one.down();
    expect((await other.find("component/a-1")).state.status).toBe("running");
  });

  it("of the same name, brought up twice at once, end as one", async () => {
    await using world = new World(fixture);
    const deployment = deploymentOf(pipelineOf(world.name, [stays()], {}), {});
    await Promise.all([world.up(deployment), world.up(deployment)]);
    const observed = await world.observe();
    expect(new Set(observed.map(({ key }) => key)).size).toBe(observed.length);
    expect((await world.find("component/a-1")).state.status).toBe("running");
  });
});
