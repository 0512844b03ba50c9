import { beforeEach, describe, expect, it } from "vitest";
import { httpTokenOf } from "../../identity/http-token.ts";
import { testAuthority, testIdentity } from "../../identity/identity.fake.ts";
import type { TlsIdentity } from "../../identity/tls-identity.ts";
import { AccessWorld, peerWith } from "./access.fake.ts";
import { MOST_GRANTS } from "./access.ts";

let world: AccessWorld;

beforeEach(async () => {
  world = await AccessWorld.create();
});

const owner = (): TlsIdentity => world.owner ?? expect.fail("there is no owner");
const grant = async (name: string, role: "reader" | "operator" = "reader"): Promise<TlsIdentity> =>
  world.identityOf(await world.access.grant(name, role, peerWith(owner())));

/** Whether somebody is let in over gRPC and over HTTP. */
async function isIn(identity: TlsIdentity): Promise<readonly [grpc: boolean, http: boolean]> {
  const required = async (): Promise<void> => world.access.require(peerWith(identity));
  const grpc = await required().then(
    () => true,
    (error: unknown) => {
      expect(error).toMatchObject({ code: "identity/revoked", kind: "unauthenticated" });
      return false;
    },
  );
  return [grpc, world.access.isToken(httpTokenOf(identity))];
}

const isHolder = (identity: TlsIdentity): boolean => world.access.isHolder(peerWith(identity).serial);

const IN = [true, true];
const OUT = [false, false];

describe("access", () => {
  it("is the owner's, and of those to whom it was granted until it is revoked", async () => {
    const anna = await grant("anna");
    const bert = await grant("bert", "operator");
    expect(await Promise.all([owner(), anna, bert].map(isIn))).toEqual([IN, IN, IN]);
    await world.access.revoke("anna", undefined);
    expect(await Promise.all([owner(), anna, bert].map(isIn))).toEqual([IN, OUT, IN]);
  });

  it("is nobody's whose certificate the authority made for another purpose, or another authority", async () => {
    const { authority } = world;
    for (const role of ["operator", "reader"] as const) {
      expect(await isIn(await testIdentity(authority, { role, pipeline: "p" }))).toEqual(OUT);
      expect(await isIn(await testIdentity(await testAuthority("q"), { role, pipeline: "q" }))).toEqual(OUT);
    }
  });

  it("survives the control plane, as does that it was revoked", async () => {
    const anna = await grant("anna");
    const bert = await grant("bert");
    await world.access.revoke("bert", undefined);
    await world.restart();
    expect(await Promise.all([owner(), anna, bert].map(isIn))).toEqual([IN, IN, OUT]);
  });

  it("ends with the authority, over HTTP as well", async () => {
    const anna = await grant("anna");
    const before = owner();
    world.authority = await testAuthority();
    world.owner = await testIdentity(world.authority, { role: "operator", pipeline: "p" });
    await world.restart();
    expect(await Promise.all([owner(), anna, before].map(isIn))).toEqual([IN, OUT, OUT]);
    expect(world.access.list()).toEqual([]);
    await grant("bert");
    expect((await world.store.entries("access/")).map(([key]) => key)).toEqual(["access/bert"]);
  });

  it("of the owner moves to another certificate, and the former one is void", async () => {
    const before = owner();
    await world.access.rotateOwner(peerWith(before));
    expect(await Promise.all([owner(), before].map(isIn))).toEqual([IN, OUT]);
    await world.restart();
    expect(await Promise.all([owner(), before].map(isIn))).toEqual([IN, OUT]);
  });

  it("of the owner is whatever is in the folder, whoever put it there", async () => {
    const before = owner();
    world.owner = await testIdentity(world.authority, { role: "operator", pipeline: "p" });
    expect(await isIn(before)).toEqual(IN);
    expect(await world.access.require(peerWith(owner()))).toBeUndefined();
    expect(await Promise.all([owner(), before].map(isIn))).toEqual([IN, OUT]);
  });

  it("of the owner does not go back to a former certificate that was read while another one was made", async () => {
    const before = owner();
    const stranger = await testIdentity(world.authority, { role: "operator", pipeline: "p" });
    let arrive = (): void => undefined;
    world.reading = new Promise((resolve) => {
      arrive = resolve;
    });
    const asked = isIn(stranger);
    const rotated = world.access.rotateOwner(undefined);
    // As long as it takes to make a certificate, where nothing waits for what is being read.
    await testIdentity(world.authority, { role: "operator", pipeline: "p" });
    await new Promise((resolve) => setImmediate(resolve));
    arrive();
    await rotated;
    expect(await asked).toEqual(OUT);
    expect([isHolder(before), isHolder(owner())]).toEqual([false, true]);
  });

  it("is nobody's while the folder has no owner", async () => {
    const before = owner();
    world.owner = undefined;
    await world.restart();
    expect(await isIn(before)).toEqual(OUT);
  });

  it("tells whoever follows somebody when that one loses it, once, and nobody else", async () => {
    const anna = await grant("anna");
    const told: string[] = [];
    const follow = (identity: TlsIdentity, as: string): (() => void) =>
      world.access.follow(peerWith(identity), () => told.push(as));
    follow(anna, "anna");
    follow(anna, "gone")();
    follow(owner(), "owner");
    await world.access.revoke("anna", undefined);
    expect(told).toEqual(["anna"]);
    await world.access.rotateOwner(undefined);
    await world.access.rotateOwner(undefined);
    expect(told).toEqual(["anna", "owner"]);
  });

  it("keeps nothing by which somebody could get it", async () => {
    const anna = await grant("anna");
    const kept = (await world.store.entries("")).map(([key, value]) => `${key} ${Buffer.from(value)}`).join("\n");
    expect(kept).toContain('"name":"anna"');
    const said = `${kept}\n${JSON.stringify(world.access.list())}\n${JSON.stringify(world.events)}`;
    for (const { key } of [anna, owner()]) {
      expect(said).not.toContain(httpTokenOf({ key }).slice(8));
      for (const line of key.toString().trim().split("\n").slice(1, -1)) expect(said).not.toContain(line);
    }
  });

  it("says to whom it was granted, by whom, and when it was changed", async () => {
    const bert = await grant("bert", "operator");
    await world.access.grant("anna", "reader", peerWith(bert));
    expect(world.access.list()).toEqual([
      { name: "anna", role: "reader", grantedAt: world.clock.now(), grantedBy: "bert" },
      { name: "bert", role: "operator", grantedAt: world.clock.now(), grantedBy: "owner" },
    ]);
    await world.access.revoke("bert", peerWith(owner()));
    expect(world.events.map(({ type, message }) => `${type} ${message}`)).toEqual([
      "access.granted bert as operator, by owner",
      "access.granted anna as reader, by bert",
      "access.revoked bert, by owner",
    ]);
  });

  it.each(["", "owner", "a b", "../x", "-x", "a/b", "x".repeat(64)])("is not granted to %j", async (name) => {
    await expect(grant(name)).rejects.toMatchObject({ code: "access/invalid-name", kind: "invalid" });
  });

  it("is granted to one name once, also when two ask at the same time", async () => {
    const results = await Promise.allSettled([grant("anna"), grant("anna", "operator")]);
    expect(results.map(({ status }) => status).toSorted()).toEqual(["fulfilled", "rejected"]);
    await expect(grant("anna")).rejects.toMatchObject({ code: "access/name-taken", kind: "conflict" });
    await expect(world.access.revoke("bert", undefined)).rejects.toMatchObject({ code: "access/not-found" });
  });

  it("is not granted by whoever loses it meanwhile", async () => {
    const bert = await grant("bert", "operator");
    const granted = world.access.grant("anna", "operator", peerWith(bert));
    await Promise.all([
      expect(granted).rejects.toMatchObject({ code: "identity/revoked" }),
      world.access.revoke("bert", peerWith(owner())),
    ]);
    expect(world.access.list()).toEqual([]);
    await world.restart();
    expect(world.access.list()).toEqual([]);
  });

  it("is granted to a bounded number of names", async () => {
    for (let n = 0; n < MOST_GRANTS; n++) await grant(`n${n}`);
    await expect(grant("more")).rejects.toMatchObject({ code: "access/too-many" });
    await world.access.revoke("n0", undefined);
    await grant("more");
  });
});
