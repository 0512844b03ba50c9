import { mkdtemp, realpath, rm, symlink } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { expect, it } from "vitest";
import type { DriverFixture } from "./driver-fixture.ts";
import { component, deploymentOf, pipelineOf, STAYS } from "./driver-pipelines.ts";
import { World } from "./driver-world.ts";

/** What a driver has to do so that a pipeline belongs to one folder. */
export function describeProject(fixture: DriverFixture): void {
  const { settings } = fixture;
  const from = (directory: string, world: World, ...ids: string[]) =>
    deploymentOf(
      pipelineOf(
        world.name,
        ids.map((id) => component(id, STAYS, settings)),
        { directory },
      ),
    );

  it("records the folder, without links, on everything that it makes", async () => {
    await using world = new World(fixture);
    const folder = await realpath(await mkdtemp(join(tmpdir(), "flowctl-folder-")));
    const link = `${folder}-link`;
    await symlink(folder, link);
    await world.up(from(link, world, "a"));
    const observed = await fixture.connect().observe(world.name, world.signal);
    expect(observed.map(({ key, folder: recorded }) => [key, recorded])).toEqual(
      observed.map(({ key }) => [key, folder]),
    );
    await rm(link);
    await rm(folder, { recursive: true });
  });

  it("makes nothing for another folder, not even what is missing, until everything is removed", async () => {
    await using world = new World(fixture);
    const folder = await mkdtemp(join(tmpdir(), "flowctl-folder-"));
    await world.up(from(process.cwd(), world, "a"));
    const before = await world.observe();
    const foreign = from(folder, world, "b");
    const resource = (await world.prepare(foreign)).find(({ owner }) => owner === "b");
    if (resource === undefined) throw new Error("not prepared");
    const refused = { code: "driver/other-folder", kind: "conflict", fix: expect.any(String) };
    await expect(world.apply({ action: "create", resource, cause: "new" }, foreign)).rejects.toMatchObject(refused);
    expect((await world.observe()).map(({ key }) => key).sort()).toEqual(before.map(({ key }) => key).sort());
    await world.down();
    await world.up(foreign);
    await rm(folder, { recursive: true });
  });
}
