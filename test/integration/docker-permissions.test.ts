import { afterAll, beforeAll, describe, expect, it } from "vitest";
import type { Component } from "../../src/pipeline/pipeline.ts";
import { docker, fixture } from "../conformance/docker-fixture.ts";
import { component, deploymentOf, pipelineOf, STAYS } from "../conformance/driver-pipelines.ts";
import { World } from "../conformance/driver-world.ts";

beforeAll(() => fixture.setUp());
afterAll(() => fixture.tearDown());

const own = (script = "", more: Partial<Component> = {}): Component =>
  component("own", `${script};${STAYS}`, { ...fixture.settings, ...more });

/** A built-in, whose program is the fixture's. */
function builtin(more: Partial<Component> = {}): Component {
  const { command: _command, ...rest } = component("built-in", "");
  return { ...rest, uses: "generator", readOnly: true, ...more };
}

/** What a program may do, told by one that runs inside of a container that is up, as its user. */
const LOOK = `
  const { existsSync, readFileSync, rmSync, writeFileSync } = require("node:fs");
  const status = readFileSync("/proc/self/status", "utf8");
  const value = (name) => new RegExp("^" + name + ":\\\\s*(\\\\w+)", "m").exec(status)[1];
  const writes = (folder) => {
    try {
      writeFileSync(folder + "/mark", "x");
      rmSync(folder + "/mark");
      return "writable";
    } catch (error) {
      return error.code;
    }
  };
  const folders = ["", "/etc", "/opt/flowctl", "/var/lib/flowctl", "/var/lib/flowctl/state", "/tmp"];
  console.log(JSON.stringify({
    user: process.getuid(),
    capabilities: [value("CapPrm"), value("CapEff"), value("CapBnd"), value("CapAmb")].join(" "),
    noNewPrivileges: value("NoNewPrivs"),
    seccomp: value("Seccomp"),
    pids: readFileSync(existsSync("/sys/fs/cgroup/pids.max") ? "/sys/fs/cgroup/pids.max" : "/sys/fs/cgroup/pids/pids.max", "utf8").trim(),
    ...Object.fromEntries(folders.map((folder) => [folder || "/", writes(folder)])),
  }));
`;

async function lookInto(world: World, container: string): Promise<Record<string, unknown>> {
  return JSON.parse(await docker("exec", `${world.name}-${container}`, "node", "-e", LOOK)) as Record<string, unknown>;
}

const unprivileged = {
  capabilities: Array(4).fill("0".repeat(16)).join(" "),
  noNewPrivileges: "1",
  // Filtered, by the engine's default profile.
  seccomp: "2",
  pids: "512",
};

describe("what a container may do", () => {
  it("is, of a built-in, to write its state and temporary files, and nothing else", async () => {
    await using world = new World(fixture);
    await world.up(deploymentOf(pipelineOf(world.name, [builtin()])));
    await world.untilSaid("built-in-1", "up");
    expect(await lookInto(world, "built-in-1")).toMatchObject({
      ...unprivileged,
      user: 10001,
      "/": "EROFS",
      "/etc": "EROFS",
      "/opt/flowctl": "EROFS",
      "/var/lib/flowctl": "EROFS",
      "/var/lib/flowctl/state": "writable",
      "/tmp": "writable",
    });
  });

  it("is, of a built-in that runs as another user, the same: its state folder is where it always is", async () => {
    await using world = new World(fixture);
    await world.up(deploymentOf(pipelineOf(world.name, [builtin({ user: "1234:1234" })])));
    await world.untilSaid("built-in-1", "up");
    const seen = await lookInto(world, "built-in-1");
    expect(seen).toMatchObject({ ...unprivileged, user: 1234, "/": "EROFS", "/tmp": "writable" });
    expect(seen["/var/lib/flowctl/state"]).toBe("writable");
  });

  it("is more where the file asks for it, and its state is kept when it does", async () => {
    await using world = new World(fixture);
    const state = "require('node:fs').readFileSync('/var/lib/flowctl/state/kept', 'utf8')";
    await world.up(deploymentOf(pipelineOf(world.name, [builtin({ user: "1234:1234" })])));
    await world.untilSaid("built-in-1", "up");
    const container = `${world.name}-built-in-1`;
    await docker(
      "exec",
      container,
      "node",
      "-e",
      "require('node:fs').writeFileSync('/var/lib/flowctl/state/kept', 'x')",
    );
    const deployment = deploymentOf(pipelineOf(world.name, [builtin({ user: "1234:1234", readOnly: false })]));
    const resource = (await world.prepare(deployment)).find(({ key }) => key === "component/built-in-1");
    const observed = await world.find("component/built-in-1");
    if (resource === undefined) throw new Error("not desired");
    await world.apply({ action: "replace", resource, observed, cause: "read_only changed" }, deployment);
    await world.untilSaid("built-in-1", "up");
    // The folder of the state is the image's, whose root it may write to as far as it has the rights.
    expect(await lookInto(world, "built-in-1")).toMatchObject({ ...unprivileged, "/": "EACCES", "/etc": "EACCES" });
    expect(await docker("exec", container, "node", "-p", state)).toBe("x");
  });

  it("is, of the control plane, to write its store and temporary files", async () => {
    await using world = new World(fixture);
    await world.up(deploymentOf(pipelineOf(world.name, [])));
    await world.untilSaid("control-plane", "up");
    const container = `flowctl_${world.name}_control-plane`;
    const seen = JSON.parse(await docker("exec", container, "node", "-e", LOOK)) as Record<string, unknown>;
    expect(seen).toMatchObject({
      ...unprivileged,
      user: 10001,
      "/": "EROFS",
      "/etc": "EROFS",
      "/var/lib/flowctl": "writable",
      "/tmp": "writable",
    });
  });

  it("is, of an image of one's own, as in Compose to write to its root, but with no capability either", async () => {
    await using world = new World(fixture);
    await world.up(deploymentOf(pipelineOf(world.name, [own("", { user: "0:0" })])));
    await world.untilSaid("own-1", "up");
    expect(await lookInto(world, "own-1")).toMatchObject({ ...unprivileged, user: 0, "/": "writable" });
  });

  it("is to start as many processes as the file says, so that one that runs away ends by itself", async () => {
    await using world = new World(fixture);
    // A Node process has some ten threads of its own.
    const script = `
      const { Worker } = require("node:worker_threads");
      let started = 0;
      const next = () => {
        if (started++ === 40) return console.log("went on");
        try {
          const worker = new Worker("setInterval(() => undefined, 1e6)", { eval: true });
          worker.on("error", () => console.log("was held back"));
          worker.on("online", next);
        } catch {
          console.log("was held back");
        }
      };
      next()`;
    const limits = { pids: 30 };
    await world.up(deploymentOf(pipelineOf(world.name, [own(script, { limits })])));
    await world.untilSaid("own-1", "was held back");
  });
});
