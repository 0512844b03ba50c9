import { readFileSync } from "node:fs";
import { join } from "node:path";
import { Metadata, type ServiceError, status } from "@grpc/grpc-js";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { makeCertificates } from "../../test/bench/streams/certificates.ts";
import { silentLogger } from "../foundation/logger.ts";
import { encodeRequest, SUBSCRIBE_PATH } from "../protocol/stream-codec.ts";
import { dial } from "./receiving/upstream-stream.ts";
import { type EventStreamServer, serveEventStream } from "./sending/event-stream-server.ts";
import { Outlet } from "./sending/outlet.ts";
import type { TlsIdentity } from "./tls-identity.ts";

const cleanUps: (() => Promise<void>)[] = [];
let own: TlsIdentity;
let foreign: TlsIdentity;
let server: EventStreamServer;

beforeAll(async () => {
  own = await identity();
  foreign = await identity();
  const publisher = new Outlet({ folder: "/nonexistent", onFailure: () => undefined });
  publisher.setGroups([{ componentId: "down", types: [], partitionBy: "", desiredInstances: 1, deadLetters: false }]);
  const who = { pipeline: "p", componentId: "up", instanceId: "up-1" };
  server = await serveEventStream({ ...who, listen: "127.0.0.1:0", publisher, log: silentLogger, tls: own });
});

afterAll(async () => {
  await server.close(AbortSignal.abort());
  for (const cleanUp of cleanUps) await cleanUp();
});

async function identity(): Promise<TlsIdentity> {
  const { folder, dispose } = await makeCertificates();
  cleanUps.push(dispose);
  const read = (name: string): Buffer => readFileSync(join(folder, name));
  return { ca: read("ca.pem"), certificate: read("certificate.pem"), key: read("key.pem") };
}

/** What becomes of an attempt to open a stream. */
async function open(tls: TlsIdentity | undefined): Promise<"opened" | keyof typeof status> {
  const client = dial(`127.0.0.1:${server.port}`, tls);
  const same = (message: Buffer): Buffer => message;
  const call = client.makeBidiStreamRequest<Buffer, Buffer>(SUBSCRIBE_PATH, same, same, new Metadata());
  const credit = { maxSequence: 1, maxBytes: 1 };
  const request = { pipeline: "p", group: "down", instanceId: "down-1", types: [], credit, upstreamInstance: "up-1" };
  call.write(encodeRequest({ kind: "open", open: request }));
  try {
    return await new Promise((resolve) => {
      call.once("data", () => resolve("opened"));
      call.on("error", ({ code }: ServiceError) => resolve(status[code] as keyof typeof status));
    });
  } finally {
    call.cancel();
    client.close();
  }
}

describe("a stream that is served with an identity", () => {
  it("is opened for who shows a certificate of the same authority", async () => {
    expect(await open(own)).toBe("opened");
  });

  it("is not opened in the clear", async () => {
    expect(await open(undefined)).toBe("UNAVAILABLE");
  });

  it("is not opened by who trusts it and shows a certificate of another authority", async () => {
    expect(await open({ ...foreign, ca: own.ca })).toBe("UNAVAILABLE");
  });

  it("is not opened by who trusts another authority", async () => {
    expect(await open({ ...own, ca: foreign.ca })).toBe("UNAVAILABLE");
  });
});
