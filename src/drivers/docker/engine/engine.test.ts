import { PassThrough, type Readable } from "node:stream";
import type Dockerode from "dockerode";
import { pack } from "tar-stream";
import { expect, it, vi } from "vitest";
import { readFileIn } from "../container/deliver-files.ts";
import { connectEngine } from "./engine.ts";

/** No connection is opened: what the engine answers stands in each test. */
const engine = await connectEngine({ DOCKER_HOST: "unix:///nowhere.sock" });

it("ends a stream that comes when nobody waits for it any more, which would keep the program", async () => {
  const interrupt = new AbortController();
  let answer: (stream: Readable) => void = () => undefined;
  const late = new Promise<Readable>((resolve) => {
    answer = resolve;
  });
  const asked = engine.call("read a file", interrupt.signal, () => late);
  interrupt.abort();
  await expect(asked).rejects.toMatchObject({ kind: "cancelled" });
  const stream = new PassThrough();
  answer(stream);
  await vi.waitUntil(() => stream.destroyed);
});

it("leaves alone a stream that somebody waits for", async () => {
  const stream = new PassThrough();
  const given = await engine.call("read a file", new AbortController().signal, async () => stream);
  expect(given).toBe(stream);
  expect(stream.destroyed).toBe(false);
});

/** An engine whose containers give this archive. */
const giving = (archive: Readable) => ({
  ...engine,
  docker: engine.docker,
  call: ((what, signal, request) =>
    engine.call(what, signal, () =>
      request({ getContainer: () => ({ getArchive: async () => archive }) } as unknown as Dockerode),
    )) as typeof engine.call,
});

it("says that an archive broke off, instead of waiting for the rest", async () => {
  const archive = new PassThrough();
  archive.write(Buffer.alloc(100));
  const read = readFileIn(giving(archive), "c", "/hash.key", new AbortController().signal);
  setImmediate(() => archive.destroy());
  await expect(read).rejects.toMatchObject({ message: expect.stringContaining("the engine broke off") });
});

it("reads no more than 1 MiB of a file, whatever a program in the container made of it", async () => {
  const archive = new PassThrough();
  const large = pack();
  large.on("data", (chunk) => archive.write(chunk as Buffer));
  large.entry({ name: "hash.key", size: 2 ** 40 }).write(Buffer.alloc(2 << 20));
  const read = await readFileIn(giving(archive), "c", "/hash.key", new AbortController().signal);
  expect(read).toHaveLength(1 << 20);
  expect(archive.destroyed).toBe(true);
});

it("ends the archive that it reads when it is interrupted", async () => {
  const interrupt = new AbortController();
  const archive = new PassThrough();
  const read = readFileIn(giving(archive), "c", "/hash.key", interrupt.signal);
  setImmediate(() => interrupt.abort());
  await expect(read).rejects.toMatchObject({ kind: "cancelled" });
  expect(archive.destroyed).toBe(true);
});
