import { expect, it } from "vitest";
import type { DriverFixture } from "./driver-fixture.ts";
import { watch } from "./driver-observers.ts";
import { component, deploymentOf, pipelineOf, STAYS } from "./driver-pipelines.ts";
import { eventually, World } from "./driver-world.ts";

/** Ids of components whose programs crash as soon as they are started. */
export const CRASHING = ["crashes", "witness"] as const;

/** What a driver has to do when it is asked to change what is as desired already, or what does not run just now. */
export function describeUnchanged(fixture: DriverFixture): void {
  const { settings } = fixture;
  const stays = (id: string) => component(id, STAYS, settings);

  it.each(["component/a-1", "control-plane/1"] as const)(
    "replaces %s although it has not changed, once, and leaves the others running",
    async (key) => {
      await using world = new World(fixture);
      const deployment = deploymentOf(pipelineOf(world.name, [stays("a"), stays("b")]));
      const resource = (await world.up(deployment)).find((other) => other.key === key);
      await world.untilUp("a-1");
      const [observed, b] = [await world.find(key), await world.find("component/b-1")];
      if (resource === undefined) throw new Error("not prepared");
      expect(observed.hash).toBe(resource.hash);
      const change = { action: "replace", resource, observed, cause: "forced" } as const;
      await world.apply(change, deployment);
      const replaced = await world.find(key);
      expect(replaced).toMatchObject({ hash: resource.hash, state: { status: "running" } });
      expect(replaced.ref).not.toBe(observed.ref);
      // Another one is there already.
      await world.apply(change, deployment);
      expect((await world.find(key)).ref).toBe(replaced.ref);
      expect((await world.find("component/b-1")).ref).toBe(b.ref);
    },
  );

  it("stops an instance that waits to be started again after a crash, for good", async () => {
    await using world = new World(fixture);
    const restart = { name: "on-failure", maxRetries: 1_000 } as const;
    const both = CRASHING.map((id) => component(id, "process.exit(3)", { ...settings, restart }));
    await world.up(deploymentOf(pipelineOf(world.name, [])));
    const seen = watch(world);
    await seen.connected();
    await world.up(deploymentOf(pipelineOf(world.name, both)));
    // Where the driver itself does not restart what exits, the control plane does, as long as it is desired to run.
    const isSupervised = !world.driver.capabilities.restartsExited;
    if (isSupervised) await world.tellControlPlane(pipelineOf(world.name, both));
    const starts = (id: string) => seen.of(`component/${id}-1`).filter((what) => what === "started").length;
    const often = async (id: string, times: number) =>
      eventually(async () => expect(starts(id)).toBeGreaterThanOrEqual(times));
    // Nobody but a test starts again what is in memory.
    const again = fixture.runsPrograms ? 2 : 0;
    for (const id of CRASHING) await often(id, 1 + again);
    if (isSupervised) await world.tellDesired({ stopped: ["crashes-1"] });
    const waiting = await world.until("component/crashes-1", ({ state }) => state.status !== "running", "back-off");
    await world.apply({ action: "stop", observed: waiting, cause: "asked" });
    await world.until("component/crashes-1", ({ state }) => state.status === "exited", "exited");
    const before = starts("crashes");
    // The other one has then waited at least as long as this one would have had to, all of it since the stop.
    await often("witness", Math.max(before, starts("witness")) + again);
    expect(starts("crashes")).toBe(before);
    if (isSupervised) await world.tellDesired({ started: ["crashes-1"] });
    await world.apply({ action: "start", observed: await world.find("component/crashes-1"), cause: "asked" });
    await often("crashes", before + 1);
  });
}
