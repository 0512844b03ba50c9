import { mkdtemp, readdir, rm, stat, truncate, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { openIdentityFolder, readOperator } from "./identity-folder.ts";
import { readJoining, replaceJoining } from "./joining-files.ts";
import { peerOfPem } from "./peer.ts";
import { joinPem, splitPem } from "./pem.ts";

let folder: string;

beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), "flowctl-identity-"));
});

afterEach(async () => {
  await rm(folder, { recursive: true, force: true });
});

const pem = (label: string, content: string): string =>
  `-----BEGIN ${label}-----\n${content}\n-----END ${label}-----\n`;
const pair = (content: string) => ({ certificate: pem("CERTIFICATE", content), key: pem("PRIVATE KEY", content) });
const modeOf = async (path: string): Promise<number> => (await stat(path)).mode & 0o777;

describe("a text in PEM", () => {
  it("is taken apart into what it was put together from, whatever stands between", () => {
    expect(splitPem(joinPem(pair("abc")))).toEqual(pair("abc"));
    expect(splitPem(`a note\n${pair("x").key}\n\n${pair("x").certificate}`)).toEqual(pair("x"));
    expect(splitPem("")).toEqual({ certificate: "", key: "" });
  });
});

describe("the files that an instance joins with", () => {
  const write = async (name: string, content: string): Promise<string> => {
    const path = join(folder, name);
    await writeFile(path, content);
    return path;
  };

  it.each(["one file", "two files"])("are replaced as a whole: %s", async (how) => {
    const certificate = await write("cert.pem", how === "one file" ? joinPem(pair("one")) : pair("one").certificate);
    const key = how === "one file" ? certificate : await write("key.pem", pair("one").key);
    const files = { ca: await write("ca.pem", pair("ca").certificate), certificate, key };
    const text = async () => Object.values(await readJoining(files)).map(String);
    expect(await text()).toEqual([pair("ca").certificate, pair("one").certificate, pair("one").key]);
    await replaceJoining(files, pair("two"));
    expect(await text()).toEqual([pair("ca").certificate, pair("two").certificate, pair("two").key]);
    expect(await modeOf(files.key)).toBe(0o600);
    expect((await readdir(folder)).filter((name) => name.endsWith(".tmp"))).toEqual([]);
  });

  it("belong together when the program was killed between the replacement of one file and the other", async () => {
    const files = {
      ca: await write("ca.pem", pair("ca").certificate),
      certificate: await write("cert.pem", pair("one").certificate),
      key: await write("key.pem", pair("one").key),
    };
    await replaceJoining({ ...files, certificate: files.key }, pair("two"));
    const { certificate, key } = await readJoining(files);
    expect([certificate, key].map(String)).toEqual([pair("two").certificate, pair("two").key]);
  });

  it("are named when they cannot be read, or have not what they should have", async () => {
    const files = { ca: await write("ca.pem", "x"), certificate: "/nonexistent", key: "/nonexistent" };
    await expect(readJoining(files)).rejects.toMatchObject({
      code: "identity/files",
      message: expect.stringContaining("/nonexistent"),
    });
    const both = await write("both.pem", joinPem(pair("one")));
    await expect(readJoining({ ...files, certificate: both, key: both })).rejects.toMatchObject({
      code: "identity/files",
      message: expect.stringContaining(files.ca),
    });
  });

  it("stay as they are when the next ones cannot be written", async () => {
    const path = await write("both.pem", joinPem(pair("one")));
    const gone = join(folder, "gone", "both.pem");
    await expect(replaceJoining({ ca: path, certificate: gone, key: gone }, pair("two"))).rejects.toMatchObject({
      code: "identity/not-written",
    });
  });
});

describe("the folder of a pipeline's identity", () => {
  it("has the same authority and the same operator each time, for its owner alone", async () => {
    const path = join(folder, "identity");
    expect(await readOperator(path)).toBeUndefined();
    const first = await openIdentityFolder(path, "p");
    const second = await openIdentityFolder(path, "p");
    expect(second.authority.certificate).toBe(first.authority.certificate);
    expect(second.operator).toEqual(first.operator);
    expect(await readOperator(path)).toEqual(first.operator);
    expect(peerOfPem(first.operator.certificate)?.name).toEqual({ role: "operator", pipeline: "p" });
    expect(await modeOf(path)).toBe(0o700);
    for (const name of await readdir(path)) expect(await modeOf(join(path, name))).toBe(0o600);
  });

  it("has one authority when several make it at once", async () => {
    const path = join(folder, "identity");
    const opened = await Promise.all([1, 2, 3].map(() => openIdentityFolder(path, "p")));
    expect(new Set(opened.map(({ authority }) => authority.certificate)).size).toBe(1);
    expect(new Set(opened.map(({ operator }) => String(operator.key))).size).toBe(1);
  });

  it("knows which chain of an instance was begun last", async () => {
    const one = await openIdentityFolder(join(folder, "identity"), "p");
    expect(await one.started("a", "a-1")).toBeUndefined();
    await one.begin("a", "a-1");
    const { certificate } = await one.begin("a", "a-1");
    await one.begin("a", "a-2");
    const peer = peerOfPem(certificate);
    expect(peer).toMatchObject({
      name: { role: "joining", pipeline: "p", component: "a", instance: "a-1" },
      link: { chain: expect.any(String), step: 0 },
    });
    const later = await openIdentityFolder(join(folder, "identity"), "p");
    expect(await later.started("a", "a-1")).toBe(peer?.link?.chain);
  });

  it.each([0, 100])(
    "is damaged where %i bytes of the authority are left, and is given another one where that is wanted",
    async (left) => {
      const path = join(folder, "identity");
      const first = await openIdentityFolder(path, "p");
      await truncate(join(path, "authority.pem"), left);
      expect(await readOperator(path)).toBeUndefined();
      await expect(openIdentityFolder(path, "p")).rejects.toMatchObject({ code: "identity/damaged" });
      const told: unknown[] = [];
      const second = await openIdentityFolder(path, "p", { onDamaged: (error) => void told.push(error) });
      expect(told).toEqual([expect.objectContaining({ code: "identity/damaged" })]);
      expect(second.authority.certificate).not.toBe(first.authority.certificate);
      expect(await readOperator(path)).toEqual(second.operator);
      expect((await openIdentityFolder(path, "p")).operator).toEqual(second.operator);
    },
  );

  it.each([0, 100])("has another operator where %i bytes of that are left", async (left) => {
    const path = join(folder, "identity");
    const first = await openIdentityFolder(path, "p");
    await truncate(join(path, "operator.pem"), left);
    expect(await readOperator(path)).toBeUndefined();
    const second = await openIdentityFolder(path, "p");
    expect(second.authority.certificate).toBe(first.authority.certificate);
    expect(await readOperator(path)).toEqual(second.operator);
    expect(peerOfPem(second.operator.certificate)?.name).toEqual({ role: "operator", pipeline: "p" });
  });

  it("is of one pipeline", async () => {
    await openIdentityFolder(join(folder, "identity"), "p");
    await expect(openIdentityFolder(join(folder, "identity"), "q")).rejects.toMatchObject({ code: "identity/damaged" });
  });
});
