import { expect, it } from "vitest";
import type { DriverFixture } from "./driver-fixture.ts";
import { upUntilKilled } from "./driver-observers.ts";
import { component, deploymentOf, pipelineOf, STAYS } from "./driver-pipelines.ts";
import { eventually, World } from "./driver-world.ts";

/** What a driver has to make of what a flowctl left behind that was killed. `module` exports the fixture. */
export function describeCrash(fixture: DriverFixture, module: string): void {
  const { settings } = fixture;
  const stays = (id: string) => component(id, STAYS, settings);

  it.each([1, 2, 3, 4, 5, 6])(
    "sees and removes whatever an up that was killed at step %i left behind",
    async (step) => {
      await using world = new World(fixture);
      const killed = await upUntilKilled(world, module, step);
      expect(killed).toBe("SIGKILL");
      // The engine may still carry out the request that flowctl died on.
      await eventually(async () => {
        await world.down(false);
        expect(await fixture.leftovers(world.name)).toEqual([]);
      });
    },
  );

  it("completes what was left half-made by the next up", async () => {
    await using world = new World(fixture);
    await upUntilKilled(world, module, 5);
    const deployment = deploymentOf(pipelineOf(world.name, [stays("a"), stays("b")]), { key: "hush" });
    const resources = await world.prepare(deployment);
    for (const resource of resources) {
      const observed = (await world.observe()).find(({ key }) => key === resource.key);
      if (observed === undefined) await world.apply({ action: "create", resource, cause: "new" }, deployment);
      else if (observed.hash !== resource.hash) {
        await world.apply({ action: "replace", resource, observed, cause: "half-made" }, deployment);
      }
    }
    for (const instance of ["a-1", "b-1"]) await world.untilSaid(instance, "up");
  });
}
