import { expect, it } from "vitest";
import type { Deployment } from "../../src/drivers/driver.ts";
import type { DriverFixture } from "./driver-fixture.ts";
import { component, deploymentOf, inOrder, pipelineOf, STAYS } from "./driver-pipelines.ts";
import { World } from "./driver-world.ts";

/** What a driver has to do when a component of any type is scaled: what is there already stays as it is. */
export function describeScaling(fixture: DriverFixture): void {
  const of = (world: World, type: "source" | "processor" | "sink", replicas: number) =>
    deploymentOf(pipelineOf(world.name, [component("a", STAYS, { ...fixture.settings, type, replicas })]));

  /** Makes what is missing and removes the instances that are too many. What is there has to be as it is wanted. */
  async function scale(world: World, deployment: Deployment): Promise<void> {
    const wanted = await world.prepare(deployment);
    const observed = await world.observe();
    for (const resource of inOrder(wanted)) {
      const there = observed.find(({ key }) => key === resource.key);
      if (there === undefined) await world.apply({ action: "create", resource, cause: "scaled" }, deployment);
      else expect([there.key, there.hash]).toEqual([resource.key, resource.hash]);
    }
    for (const there of observed) {
      const isWanted = there.kind === "volume" || wanted.some(({ key }) => key === there.key);
      if (!isWanted) await world.apply({ action: "remove", observed: there, cause: "scaled" });
    }
  }

  it.each(["source", "processor", "sink"] as const)(
    "adds an instance of a %s and takes it away again, and the first one never ends",
    async (type) => {
      await using world = new World(fixture);
      const instances = async () => (await world.observe()).filter(({ kind }) => kind === "component");
      await world.up(of(world, type, 1));
      const first = await world.find("component/a-1");
      await scale(world, of(world, type, 2));
      expect((await instances()).map(({ key }) => key).sort()).toEqual(["component/a-1", "component/a-2"]);
      expect((await world.find("component/a-2")).state.status).toBe("running");
      await scale(world, of(world, type, 1));
      expect(await instances()).toMatchObject([{ key: "component/a-1", ref: first.ref, state: first.state }]);
    },
  );
}
