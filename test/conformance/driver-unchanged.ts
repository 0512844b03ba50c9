import { setTimeout as delay } from "node:timers/promises";
import { expect, it } from "vitest";
import type { DriverFixture } from "./driver-fixture.ts";
import { component, deploymentOf, pipelineOf, STAYS } from "./driver-pipelines.ts";
import { eventually, World } from "./driver-world.ts";

/** How long a stopped instance is watched; the pause of its back-off is over much earlier. In milliseconds. */
const STOPPED_FOR_MS = 4_000;

/** What a driver has to do when it is asked to change what is as desired already, or what does not run just now. */
export function describeUnchanged(fixture: DriverFixture): void {
  const { settings } = fixture;
  const stays = (id: string) => component(id, STAYS, settings);

  it.each(["component/a-1", "control-plane/1"] as const)(
    "replaces %s although it has not changed, and leaves the others running",
    async (key) => {
      await using world = new World(fixture);
      const deployment = deploymentOf(pipelineOf(world.name, [stays("a"), stays("b")]));
      const resource = (await world.up(deployment)).find((other) => other.key === key);
      await world.untilSaid("a-1", "up");
      const [observed, b] = [await world.find(key), await world.find("component/b-1")];
      if (resource === undefined) throw new Error("not prepared");
      expect(observed.hash).toBe(resource.hash);
      const change = { action: "replace", resource, observed, cause: "forced" } as const;
      await world.apply(change, deployment);
      const replaced = await world.find(key);
      expect(replaced).toMatchObject({ hash: resource.hash, state: { status: "running" } });
      expect(replaced.ref).not.toBe(observed.ref);
      expect((await world.find("component/b-1")).ref).toBe(b.ref);
    },
  );

  it("stops an instance that waits to be started again after a crash, for good", async () => {
    await using world = new World(fixture);
    const crashes = component("a", 'console.log("began"); process.exit(3)', {
      ...settings,
      restart: { name: "on-failure" },
    });
    await world.up(deploymentOf(pipelineOf(world.name, [crashes])));
    if (!world.driver.capabilities.restartsExited) await world.tellControlPlane(pipelineOf(world.name, [crashes]));
    const beginnings = async () =>
      (await world.logs({ select: ["a-1"] })).filter(({ text }) => text === "began").length;
    await eventually(async () => expect(await beginnings()).toBeGreaterThan(2));
    // Where the driver itself does not restart what exits, the control plane does, as long as it is desired to run.
    const isSupervised = !world.driver.capabilities.restartsExited;
    if (isSupervised) await world.tellDesired({ stopped: ["a-1"] });
    const waiting = await world.until("component/a-1", ({ state }) => state.status !== "running", "back-off");
    await world.apply({ action: "stop", observed: waiting, cause: "asked" });
    await world.until("component/a-1", ({ state }) => state.status === "exited", "exited");
    const before = await beginnings();
    await delay(STOPPED_FOR_MS);
    expect(await beginnings()).toBe(before);
    if (isSupervised) await world.tellDesired({ started: ["a-1"] });
    await world.apply({ action: "start", observed: await world.find("component/a-1"), cause: "asked" });
    await eventually(async () => expect(await beginnings()).toBeGreaterThan(before));
  });
}
