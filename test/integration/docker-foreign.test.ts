import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { docker, fixture } from "../conformance/docker-fixture.ts";
import { component, deploymentOf, pipelineOf, STAYS } from "../conformance/driver-pipelines.ts";
import { World } from "../conformance/driver-world.ts";

beforeAll(() => fixture.setUp());
afterAll(() => fixture.tearDown());

const { settings } = fixture;
const one = (world: World, internal = false) => {
  const networks = { extra: { external: false, driverOpts: {}, internal, labels: {} } };
  return deploymentOf(pipelineOf(world.name, [component("a", STAYS, settings)], { networks }));
};

/** A container that flowctl knows nothing of, in a network. */
async function stranger(network: string): Promise<AsyncDisposable & { readonly id: string }> {
  const program = ["-e", "setInterval(() => undefined, 1000)"];
  const id = await docker("run", "-d", "--network", network, "--entrypoint", "node", settings.image ?? "", ...program);
  return { id, [Symbol.asyncDispose]: async () => void (await docker("rm", "-f", "-v", id)) };
}

const networkOf = async (id: string) =>
  Object.keys(JSON.parse(await docker("inspect", "-f", "{{json .NetworkSettings.Networks}}", id)));

describe("a network that a container of somebody else is in", () => {
  it("is left, and what is to be done is said; afterwards it can be removed", async () => {
    await using world = new World(fixture);
    await world.up(one(world));
    const name = `flowctl_${world.name}`;
    await using other = await stranger(name);
    const observed = await world.find("network/default");
    const removal = world.apply({ action: "remove", observed, cause: "down" });
    await expect(removal).rejects.toMatchObject({
      code: "docker/network-in-use",
      kind: "conflict",
      fix: expect.stringContaining(`docker network disconnect ${name}`),
    });
    expect(await networkOf(other.id)).toEqual([name]);
    await docker("network", "disconnect", name, other.id);
  });

  it("is not replaced: the change is refused before anything is removed", async () => {
    await using world = new World(fixture);
    await world.up(one(world));
    const name = `${world.name}_extra`;
    await using other = await stranger(name);
    const before = await world.observe();
    await expect(world.prepare(one(world, true))).rejects.toMatchObject({ code: "docker/network-in-use" });
    const refs = (resources: typeof before) => resources.map(({ ref }) => ref).sort();
    expect(refs(await world.observe())).toEqual(refs(before));
    await docker("network", "disconnect", name, other.id);
  });
});

it("a network of that name that somebody else made is refused before anything is made", async () => {
  await using world = new World(fixture);
  const name = `flowctl_${world.name}`;
  await docker("network", "create", name);
  try {
    await expect(world.prepare(one(world))).rejects.toMatchObject({ code: "docker/name-taken", kind: "conflict" });
    expect(await world.observe()).toEqual([]);
  } finally {
    await docker("network", "rm", name);
  }
});

it("what is taken away while it is started is called by its name, without ids", async () => {
  await using world = new World(fixture);
  await world.up(one(world));
  const observed = await world.find("component/a-1");
  await world.apply({ action: "remove", observed, cause: "down" });
  for (const action of ["start", "restart"] as const) {
    const failure = await world.apply({ action, observed, cause: "test" }).then(
      () => undefined,
      (error: unknown) => error,
    );
    expect(failure).toMatchObject({ code: "docker/taken-away", kind: "conflict", fix: expect.any(String) });
    expect(String(failure)).toContain(`${world.name}-a-1`);
    expect(String(failure)).not.toMatch(/[0-9a-f]{64}/);
  }
});
