import { describe, expect, it } from "vitest";
import type { DriverFixture } from "./driver-fixture.ts";
import { watch } from "./driver-observers.ts";
import { component, deploymentOf, pipelineOf, STAYS, STUBBORN } from "./driver-pipelines.ts";
import { eventually, World } from "./driver-world.ts";

/** What a driver has to do that starts programs: what they find, how they end, and what is told of it. */
export function describePrograms(fixture: DriverFixture): void {
  const { settings } = fixture;
  const { capabilities } = fixture.connect();
  const stays = (id = "a", more = {}) => component(id, STAYS, { ...settings, ...more });

  describe("what a program finds", () => {
    it("tells where the control plane is reached", async () => {
      await using world = new World(fixture);
      await world.up(deploymentOf(pipelineOf(world.name, [])));
      await eventually(async () => {
        const endpoint = await world.driver.controlPlane(world.name, world.signal);
        expect(endpoint?.grpc).toMatch(/^127\.0\.0\.1:\d+$/);
        // A published port takes connections before the program behind it does, and then loses them in silence.
        const answer = await fetch(`${endpoint?.http}/health`, { signal: AbortSignal.timeout(2_000) });
        expect(answer.ok).toBe(true);
      });
    });

    it("gives every instance its environment", async () => {
      await using world = new World(fixture);
      const script = `console.log(JSON.stringify(process.env));${STAYS}`;
      const settled = { ...settings, environment: { REGION: "eu" }, with: { rate: 3 }, replicas: 2 };
      await world.up(deploymentOf(pipelineOf(world.name, [component("a", script, settled)])));
      await world.untilSaid("a-2", "up");
      const [line] = (await world.logs({ select: ["a-2"] })).filter(({ stream }) => stream === "stdout");
      expect(JSON.parse(line?.text ?? "{}")).toMatchObject({
        REGION: "eu",
        FLOWCTL_PIPELINE: world.name,
        FLOWCTL_COMPONENT_ID: "a",
        FLOWCTL_COMPONENT_TYPE: "source",
        FLOWCTL_INSTANCE_ID: "a-2",
        FLOWCTL_INSTANCE_INDEX: "2",
        FLOWCTL_REPLICAS: "2",
        FLOWCTL_CONFIG: '{"rate":3}',
        FLOWCTL_LISTEN: expect.stringMatching(/:\d+$/),
        FLOWCTL_ADVERTISE: expect.stringMatching(/:\d+$/),
        FLOWCTL_CONTROL_PLANE: expect.stringMatching(/:\d+$/),
        FLOWCTL_HEALTH_PORT: expect.stringMatching(/^\d+$/),
        FLOWCTL_STOP_GRACE_MS: "10000",
      });
    });

    it("hands secrets over as files that only the instance can read, and shows them nowhere", async () => {
      await using world = new World(fixture);
      const script = `
      const { readFileSync, statSync } = require("node:fs");
      const path = process.env.FLOWCTL_SECRETS_DIR + "/key";
      console.log(readFileSync(path, "utf8") === "hush" + "-1234" ? "right" : "wrong");
      console.log((statSync(path).mode & 0o077).toString(8));
      ${STAYS}`;
      const granted = { ...settings, secrets: [{ source: "key", target: "/run/secrets/key" }] };
      const deployment = deploymentOf(pipelineOf(world.name, [component("a", script, granted)]), { key: "hush-1234" });
      await world.up(deployment);
      const lines = await world.untilSaid("a-1", "up");
      const said = lines.filter(({ stream }) => stream === "stdout").map(({ text }) => text);
      expect(said).toEqual(["right", "0"]);
      const observed = await world.find("component/a-1");
      expect(await fixture.visible(observed)).not.toContain("hush-1234");
      // Whoever has the same value sees that it is the same, also with a key that was made for this pipeline.
      const again = await world.prepare(deployment, fixture.connect());
      expect(again.find(({ key }) => key === "component/a-1")?.hash).toBe(observed.hash);
    });

    it("removes its secrets when it is stopped, and starts it again only with their values", async () => {
      await using world = new World(fixture);
      const script = `
      const value = require("node:fs").readFileSync(process.env.FLOWCTL_SECRETS_DIR + "/key", "utf8");
      console.log(value === "hush" + "-1234" ? "right" : "wrong");
      ${STAYS}`;
      const granted = { ...settings, secrets: [{ source: "key", target: "/run/secrets/key" }] };
      const deployment = deploymentOf(pipelineOf(world.name, [component("a", script, granted)]), { key: "hush-1234" });
      await world.up(deployment);
      await world.untilSaid("a-1", "up");
      expect((await world.find("component/a-1")).secrets).toBeUndefined();
      await world.apply({ action: "restart", observed: await world.find("component/a-1"), cause: "asked" });
      await world.untilUp("a-1", 2);
      await world.apply({ action: "stop", observed: await world.find("component/a-1"), cause: "asked" });
      const stopped = await world.until("component/a-1", (found) => found.state.status === "exited", "exited");
      expect(stopped.secrets).toBe("removed");
      for (const action of ["start", "restart"] as const) {
        const change = { action, observed: stopped, cause: "asked" };
        await expect(world.apply(change)).rejects.toMatchObject({ code: "driver/secrets-removed", kind: "conflict" });
      }
      await world.apply({ action: "start", observed: await world.find("component/a-1"), cause: "asked" }, deployment);
      await world.untilUp("a-1", 3);
      const said = (await world.logs({ select: ["a-1"] }))
        .filter(({ stream }) => stream === "stdout")
        .map(({ text }) => text);
      expect(said).toEqual(["right", "right", "right"]);
      // What `up` finds stopped gets them with the plan.
      await world.apply({ action: "stop", observed: await world.find("component/a-1"), cause: "asked" });
      await world.up(deployment);
      await world.untilUp("a-1", 4);
    });

    it("removes the secrets of what has ended by itself when it is stopped", async () => {
      await using world = new World(fixture);
      const granted = { ...settings, secrets: [{ source: "key", target: "/run/secrets/key" }] };
      const ends = component("a", "console.error('over')", { ...granted, restart: { name: "no" } });
      await world.up(deploymentOf(pipelineOf(world.name, [ends]), { key: "hush-1234" }));
      const ended = await world.until("component/a-1", (found) => found.state.status === "exited", "exited");
      expect(ended.secrets).toBe("present");
      await world.apply({ action: "stop", observed: ended, cause: "asked" });
      expect((await world.find("component/a-1")).secrets).toBe("removed");
    });

    it("reports a program that does not exist, or that it ended, and is not in the way of mending it", async () => {
      await using world = new World(fixture);
      const broken = component("a", "", { ...settings, command: ["no-such-program-anywhere"] });
      const refused = await world.up(deploymentOf(pipelineOf(world.name, [broken]))).then(
        () => undefined,
        (error: unknown) => error,
      );
      if (refused === undefined) {
        const { state } = await world.until("component/a-1", (found) => found.state.status === "exited", "exited");
        expect(state).toMatchObject({ exitCode: 127 });
      } else expect(refused).toMatchObject({ name: "FlowctlError", fix: expect.any(String) });
      await world.up(deploymentOf(pipelineOf(world.name, [stays()])));
      await world.untilSaid("a-1", "up");
    });

    it("keeps an instance's state folder when it is replaced", async () => {
      await using world = new World(fixture);
      const script = `
      const { existsSync, writeFileSync } = require("node:fs");
      const file = process.env.FLOWCTL_STATE_DIR + "/mark";
      console.error(existsSync(file) ? "found" : "fresh");
      writeFileSync(file, "x");
      ${STAYS}`;
      const of = (n: string) =>
        deploymentOf(pipelineOf(world.name, [component("a", script, { ...settings, environment: { N: n } })]));
      await world.up(of("1"));
      await world.untilSaid("a-1", "fresh");
      const resource = (await world.prepare(of("2"))).find(({ key }) => key === "component/a-1");
      if (resource === undefined) throw new Error("not prepared");
      const observed = await world.find("component/a-1");
      await world.apply({ action: "replace", resource, observed, cause: "changed" }, of("2"));
      await world.untilSaid("a-1", "found");
    });
  });

  describe("how a program ends", () => {
    it("ends what does not leave within its grace period", async () => {
      await using world = new World(fixture);
      const stubborn = component("a", STUBBORN, { ...settings, stopGracePeriodMs: 1000 });
      await world.up(deploymentOf(pipelineOf(world.name, [stubborn])));
      await world.untilSaid("a-1", "up");
      await world.apply({ action: "stop", observed: await world.find("component/a-1"), cause: "asked" });
      const { state } = await world.until("component/a-1", (found) => found.state.status === "exited", "exited");
      expect(state).toMatchObject({ exitCode: 137 });
      expect((await world.logs({ select: ["a-1"] })).map(({ text }) => text)).toContain("no");
    });

    it("does not wait for the grace period when it is forced", async () => {
      await using world = new World(fixture);
      const stubborn = component("a", STUBBORN, { ...settings, stopGracePeriodMs: 600_000 });
      await world.up(deploymentOf(pipelineOf(world.name, [stubborn])));
      await world.untilSaid("a-1", "up");
      await world.apply({ action: "remove", observed: await world.find("component/a-1"), cause: "x" }, undefined, true);
      expect((await world.observe()).map(({ key }) => key)).not.toContain("component/a-1");
    });

    it.each([0, 7])("observes that a program ended with %i", async (code) => {
      await using world = new World(fixture);
      await world.up(deploymentOf(pipelineOf(world.name, [component("a", `process.exit(${code})`, settings)])));
      const { state } = await world.until("component/a-1", (found) => found.state.status === "exited", "exited");
      expect(state).toMatchObject({ status: "exited", exitCode: code, oomKilled: false });
    });

    it.runIf(capabilities.restartsExited)("starts a program that crashed again, and counts it", async () => {
      await using world = new World(fixture);
      const restarted = stays("a", { restart: { name: "on-failure" } });
      await world.up(deploymentOf(pipelineOf(world.name, [restarted])));
      await world.untilSaid("a-1", "up");
      const seen = watch(world);
      await seen.connected();
      await fixture.crash(await world.find("component/a-1"));
      await world.until(
        "component/a-1",
        ({ state }) => state.status === "running" && state.restarts === 1,
        "running, restarted once",
      );
      await eventually(async () => {
        expect(seen.exits("component/a-1")).toEqual([expect.objectContaining({ exitCode: 137, willRestart: true })]);
      });
    });

    it.runIf(capabilities.limits)("says that a program was ended because it took too much memory", async () => {
      await using world = new World(fixture);
      const hungry = component("a", `const all = []; for (;;) all.push(Buffer.alloc(8 << 20, 1));`, {
        ...settings,
        limits: { memoryBytes: 64 << 20 },
      });
      await world.up(deploymentOf(pipelineOf(world.name, [])));
      const seen = watch(world);
      await seen.connected();
      await world.up(deploymentOf(pipelineOf(world.name, [hungry])));
      const { state } = await world.until("component/a-1", (found) => found.state.status === "exited", "exited");
      expect(state).toMatchObject({ status: "exited", oomKilled: true });
      await eventually(async () => {
        expect(seen.exits("component/a-1")).toEqual([expect.objectContaining({ oomKilled: true, willRestart: false })]);
      });
    });

    it("is told with its exit code, after its start", async () => {
      await using world = new World(fixture);
      const seen = watch(world);
      const deployment = deploymentOf(pipelineOf(world.name, [stays(), component("b", "process.exit(3)", settings)]));
      const resources = await world.prepare(deployment);
      for (const resource of resources.filter(({ kind }) => kind !== "component")) {
        await world.apply({ action: "create", resource, cause: "new" }, deployment);
      }
      await seen.connected();
      for (const resource of resources.filter(({ kind }) => kind === "component")) {
        await world.apply({ action: "create", resource, cause: "new" }, deployment);
      }
      await eventually(async () => expect(seen.of("component/b-1")).toContain("exited 3"));
      await world.apply({ action: "remove", observed: await world.find("component/a-1"), cause: "x" });
      await eventually(async () => {
        expect(seen.of("component/a-1").map((what) => what.split(" ")[0])).toEqual(["started", "exited", "removed"]);
      });
      expect(seen.of("component/b-1")).toEqual(["started", "exited 3"]);
    });
  });
}
