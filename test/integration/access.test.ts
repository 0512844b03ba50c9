import { readFile, stat } from "node:fs/promises";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import type { ControlPlaneClient } from "../../src/client/client.ts";
import { componentSpec } from "../../src/control-plane/pipeline.fake.ts";
import { httpTokenOf } from "../../src/identity/http-token.ts";
import { testSource } from "../../src/identity/identity.fake.ts";
import { changingIdentity, type IdentitySource } from "../../src/identity/tls-identity.ts";
import { hangUp } from "./identity-calls.ts";
import { IdentityWorld, operatorName, soon } from "./identity-world.ts";

let world: IdentityWorld;

beforeEach(async () => {
  world = await IdentityWorld.create();
  // Something has happened.
  await world.apply(componentSpec({ id: "s", type: "source" }));
});

afterEach(async () => {
  hangUp();
  await world.dispose();
});

const owner = (): IdentitySource => changingIdentity(operatorName, world.identity.operator);
const revoked = expect.objectContaining({ code: "identity/revoked", kind: "unauthenticated" });

/** Reads what happens for as long as that is permitted. Resolves, once something was read, with how it ends. */
async function watching(client: ControlPlaneClient): Promise<{ readonly end: Promise<unknown> }> {
  let begun = (): void => undefined;
  const reading = new Promise<void>((resolve) => {
    begun = resolve;
  });
  const read = async (): Promise<void> => {
    for await (const _ of client.watchEvents({ after: 0, follow: true }, soon())) begun();
  };
  const end = read().then(
    () => "ended",
    (error: unknown) => error,
  );
  await Promise.race([reading, end]);
  return { end };
}

const http = (path: string, identity: IdentitySource): Promise<Response> =>
  fetch(`http://${world.http}${path}`, {
    headers: { authorization: `Bearer ${httpTokenOf(identity.current())}` },
    signal: soon(),
  });

describe("who was granted access", () => {
  it.each(["reader", "operator"] as const)(
    "as %s is refused once it is revoked, on open connections too",
    async (role) => {
      const identity = await world.granted(role);
      const client = world.connect(identity);
      const { end } = await watching(client);
      const others = await watching(world.operator);
      expect((await client.getPipeline(soon())).name).toBe("p");
      expect((await http("/api/pipeline", identity)).status).toBe(200);
      await world.operator.revokeAccess(role, soon());
      await expect(client.getPipeline(soon())).rejects.toEqual(revoked);
      expect(await end).toEqual(revoked);
      expect((await http("/api/pipeline", identity)).status).toBe(401);
      await world.operator.listAccess(soon());
      const ended = await Promise.race([others.end, new Promise((resolve) => setImmediate(resolve, "goes on"))]);
      expect(ended).toBe("goes on");
    },
  );

  it("still has it when the control plane is killed and started again, and is refused where that has forgotten it", async () => {
    const identity = await world.granted("reader");
    await world.stopControlPlane();
    await world.startControlPlane();
    expect((await world.connect(identity).getPipeline(soon())).name).toBe("p");
    await world.stopControlPlane();
    await world.forgetEverything();
    await world.startControlPlane();
    await expect(world.connect(identity).getPipeline(soon())).rejects.toEqual(revoked);
    expect((await http("/api/pipeline", identity)).status).toBe(401);
    expect((await world.operator.getPipeline(soon())).name).toBe("p");
  });

  it("as operator gives access, and cannot give the owner's away", async () => {
    const operator = world.connect(await world.granted("operator", "bert"));
    await operator.grantAccess("anna", "reader", soon());
    expect(await world.operator.listAccess(soon())).toMatchObject([
      { name: "anna", role: "reader", grantedBy: "bert" },
      { name: "bert", role: "operator", grantedBy: "owner" },
    ]);
    await expect(operator.grantAccess("owner", "operator", soon())).rejects.toMatchObject({
      code: "access/invalid-name",
      kind: "invalid",
    });
  });

  it("as reader opens a session that ends with it", async () => {
    const { code, expiresInMs } = await world.connect(await world.granted("reader")).openSession(soon());
    expect(expiresInMs).toBe(300_000);
    const login = await fetch(`http://${world.http}/login/${code}`, { redirect: "manual", signal: soon() });
    const cookie = login.headers.get("set-cookie")?.split(";")[0] ?? "";
    const look = async (): Promise<number> =>
      (await fetch(`http://${world.http}/`, { headers: { cookie }, signal: soon() })).status;
    expect(await look()).toBe(200);
    await world.operator.revokeAccess("reader", soon());
    expect(await look()).toBe(401);
  });
});

describe("the owner", () => {
  it("is refused with a certificate that was replaced, on open connections too, and goes on with the new one", async () => {
    const former = owner();
    const client = world.connect(former);
    const { end } = await watching(client);
    await client.rotateOwner(soon());
    expect(await end).toEqual(revoked);
    await expect(client.getPipeline(soon())).rejects.toEqual(revoked);
    expect((await http("/api/pipeline", former)).status).toBe(401);
    expect((await world.operator.getPipeline(soon())).name).toBe("p");
    expect((await http("/api/pipeline", owner())).status).toBe(200);
    const file = join(world.folder, "identity/operator.pem");
    expect((await stat(file)).mode & 0o777).toBe(0o600);
    expect(await readFile(file, "utf8")).toContain(String(owner().current().certificate));
    await world.stopControlPlane();
    await world.startControlPlane();
    await expect(world.connect(former).getPipeline(soon())).rejects.toEqual(revoked);
    expect((await world.operator.getPipeline(soon())).name).toBe("p");
  });
});

describe("a certificate of the authority", () => {
  it.each(["reader", "operator"] as const)("of a %s to whom nobody granted access is refused", async (role) => {
    const client = world.connect(await testSource(world.identity.authority, { role, pipeline: "p" }));
    await expect(client.getPipeline(soon())).rejects.toEqual(revoked);
  });
});
