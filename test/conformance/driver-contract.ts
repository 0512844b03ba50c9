import { describe, expect, it } from "vitest";
import type { ObservedResource } from "../../src/drivers/driver.ts";
import type { DriverFixture } from "./driver-fixture.ts";
import { watch } from "./driver-observers.ts";
import { component, deploymentOf, pipelineOf, STAYS } from "./driver-pipelines.ts";
import { eventually, World } from "./driver-world.ts";

/** What a driver has to do whatever it is that it starts. */
export function describeContract(fixture: DriverFixture): void {
  const { settings } = fixture;
  const stays = (id = "a", more = {}) => component(id, STAYS, { ...settings, ...more });

  describe("preparing", () => {
    it("says that its engine answers", async () => {
      await using world = new World(fixture);
      expect(await world.driver.probe(world.signal)).toMatchObject({ available: true });
    });

    it("gives the same hashes for the same deployment, on every connection", async () => {
      await using world = new World(fixture);
      const deployment = deploymentOf(pipelineOf(world.name, [stays()]), { key: "hush" });
      const hashes = (resources: Awaited<ReturnType<World["prepare"]>>) =>
        resources.map(({ key, hash }) => [key, hash]);
      // What a pipeline is given when it is first made, such as an authority, is another one for each that is.
      await world.up(deployment);
      expect(hashes(await world.prepare(deployment, fixture.connect()))).toEqual(
        hashes(await world.prepare(deployment)),
      );
    });

    it("changes the hash of a component whose settings change, names the part, and leaves the others alone", async () => {
      await using world = new World(fixture);
      const before = await world.prepare(deploymentOf(pipelineOf(world.name, [stays("a"), stays("b")])));
      const changed = stays("b", { environment: { REGION: "eu" } });
      const after = await world.prepare(deploymentOf(pipelineOf(world.name, [stays("a"), changed])));
      const differing = after.filter(({ key, hash }) => before.find((other) => other.key === key)?.hash !== hash);
      expect(differing.map(({ key }) => key)).toEqual(["component/b-1"]);
      const old = before.find(({ key }) => key === "component/b-1")?.parts ?? {};
      const parts = differing[0]?.parts ?? {};
      expect(Object.keys(parts).filter((part) => parts[part] !== old[part])).toEqual(["environment"]);
    });

    it("changes a hash with the value of a granted secret and shows nothing of the value", async () => {
      await using world = new World(fixture);
      const granted = stays("a", { secrets: [{ source: "key", target: "/run/secrets/key" }] });
      const of = async (value: string) =>
        (await world.prepare(deploymentOf(pipelineOf(world.name, [granted]), { key: value }))).find(
          ({ key }) => key === "component/a-1",
        );
      const [one, other] = [await of("first-value"), await of("second-value")];
      expect(one?.hash).not.toBe(other?.hash);
      expect(JSON.stringify([one, other])).not.toMatch(/first-value|second-value/);
    });

    it("rejects with kind cancelled when its signal has fired", async () => {
      await using world = new World(fixture);
      const signal = AbortSignal.abort();
      const deployment = deploymentOf(pipelineOf(world.name, [stays()]));
      const options = { signal, progress: () => undefined, build: false, dryRun: false };
      await expect(world.driver.prepare(deployment, options)).rejects.toMatchObject({ kind: "cancelled" });
    });
  });

  describe("creating", () => {
    it("observes nothing of a pipeline that was never made", async () => {
      await using world = new World(fixture);
      expect(await world.observe()).toEqual([]);
      expect(await world.driver.controlPlane(world.name, world.signal)).toBeUndefined();
      expect(await world.driver.pipelines(world.signal)).not.toContain(world.name);
    });

    it("knows a control plane as long as there is one", async () => {
      await using world = new World(fixture);
      await world.up(deploymentOf(pipelineOf(world.name, [])));
      const known = () => world.driver.controlPlane(world.name, world.signal);
      await eventually(async () => expect(await known()).toBeDefined());
      await world.apply({ action: "remove", observed: await world.find("control-plane/1"), cause: "down" });
      expect(await known()).toBeUndefined();
    });

    it("makes everything that was prepared, and another flowctl observes it as it was asked for", async () => {
      await using world = new World(fixture);
      const resources = await world.up(deploymentOf(pipelineOf(world.name, [stays("a", { replicas: 2 })])));
      const observed = await fixture.connect().observe(world.name, world.signal);
      const essence = ({ key, kind, owner, index, hash, parts }: ObservedResource | (typeof resources)[number]) => ({
        ...{ key, kind, owner, index, hash, parts },
      });
      const byKey = (a: { key: string }, b: { key: string }) => (a.key < b.key ? -1 : 1);
      expect(observed.map(essence).sort(byKey)).toEqual(resources.map(essence).sort(byKey));
      expect(observed.every(({ state }) => state.status === "running")).toBe(true);
      expect(await fixture.connect().pipelines(world.signal)).toContain(world.name);
    });

    it("changes nothing when what is to be created is there already", async () => {
      await using world = new World(fixture);
      const deployment = deploymentOf(pipelineOf(world.name, [stays()]));
      await world.up(deployment);
      const before = await world.find("component/a-1");
      await world.up(deployment);
      expect(await world.find("component/a-1")).toEqual(before);
    });
  });

  describe("changing", () => {
    it("replaces an instance by one with the new settings, and leaves the others running", async () => {
      await using world = new World(fixture);
      await world.up(deploymentOf(pipelineOf(world.name, [stays("a"), stays("b")])));
      await world.untilUp("a-1");
      const [a, b] = [await world.find("component/a-1"), await world.find("component/b-1")];
      const deployment = deploymentOf(pipelineOf(world.name, [stays("a", { environment: { N: "2" } }), stays("b")]));
      const resource = (await world.prepare(deployment)).find(({ key }) => key === "component/a-1");
      if (resource === undefined) throw new Error("not prepared");
      await world.apply({ action: "replace", resource, observed: a, cause: "environment changed" }, deployment);
      const replaced = await world.find("component/a-1");
      expect(replaced).toMatchObject({ hash: resource.hash, state: { status: "running" } });
      expect(replaced.ref).not.toBe(a.ref);
      expect(await world.find("component/b-1")).toEqual(b);
    });

    it("stops gracefully, starts and restarts, each again without complaint, and tells of what changed", async () => {
      await using world = new World(fixture);
      await world.up(deploymentOf(pipelineOf(world.name, [stays()])));
      await world.untilUp("a-1");
      const seen = watch(world);
      await seen.connected();
      const running = await world.find("component/a-1");
      await world.apply({ action: "stop", observed: running, cause: "asked" });
      const stopped = await world.until("component/a-1", ({ state }) => state.status === "exited", "exited");
      expect(stopped.state).toMatchObject({ exitCode: 0, oomKilled: false });
      await world.apply({ action: "stop", observed: stopped, cause: "asked" });
      await world.apply({ action: "start", observed: stopped, cause: "asked" });
      await world.apply({ action: "start", observed: stopped, cause: "asked" });
      const started = await world.until("component/a-1", ({ state }) => state.status === "running", "running");
      await world.untilUp("a-1", 2);
      await world.apply({ action: "restart", observed: started, cause: "asked" });
      await world.untilUp("a-1", 3);
      await eventually(async () =>
        expect(seen.of("component/a-1")).toEqual(["exited 0", "started", "exited 0", "started"]),
      );
    });

    it("removes what is gone already without complaint", async () => {
      await using world = new World(fixture);
      await world.up(deploymentOf(pipelineOf(world.name, [stays()])));
      const observed = await world.observe();
      await world.down();
      for (const resource of observed) await world.apply({ action: "remove", observed: resource, cause: "again" });
    });

    it("keeps state until its volume is removed by a change of its own", async () => {
      await using world = new World(fixture);
      await world.up(deploymentOf(pipelineOf(world.name, [stays()])));
      const isVolume = ({ kind }: ObservedResource) => kind === "volume";
      const volumes = (await world.observe()).filter(isVolume);
      expect(volumes).not.toEqual([]);
      for (const observed of (await world.observe()).filter((resource) => !isVolume(resource)).reverse()) {
        if (observed.kind !== "network") await world.apply({ action: "remove", observed, cause: "down" });
      }
      const keys = (resources: readonly ObservedResource[]) => resources.map(({ key }) => key).sort();
      expect(keys((await world.observe()).filter(isVolume))).toEqual(keys(volumes));
    });
  });

  describe("events", () => {
    it("tells of starts, exits and removals, in their order", async () => {
      await using world = new World(fixture);
      await world.up(deploymentOf(pipelineOf(world.name, [])));
      const seen = watch(world);
      await seen.connected();
      await world.up(deploymentOf(pipelineOf(world.name, [stays()])));
      await world.apply({ action: "remove", observed: await world.find("component/a-1"), cause: "x" });
      await eventually(async () => {
        expect(seen.of("component/a-1").map((what) => what.split(" ")[0])).toEqual(["started", "exited", "removed"]);
      });
    });

    it("ends quietly when its signal fires", async () => {
      await using world = new World(fixture);
      await world.up(deploymentOf(pipelineOf(world.name, [])));
      const stop = new AbortController();
      const reading = (async () => {
        // It stands once something has come.
        for await (const _ of world.driver.events(world.name, stop.signal)) stop.abort();
      })();
      await world.up(deploymentOf(pipelineOf(world.name, [stays()])));
      await expect(reading).resolves.toBeUndefined();
    });
  });
}
