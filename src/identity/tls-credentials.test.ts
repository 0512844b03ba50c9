import { once } from "node:events";
import { type AddressInfo, connect, createServer } from "node:net";
import { connect as connectTls } from "node:tls";
import { Client, type ClientDuplexStream, Metadata, Server, type ServiceError, status } from "@grpc/grpc-js";
import { afterEach, beforeAll, describe, expect, it } from "vitest";
import type { Authority } from "./authority.ts";
import { instanceName, testAuthority, testIdentity, testSource } from "./identity.fake.ts";
import type { Name } from "./names.ts";
import { peerOf } from "./peer.ts";
import { channelCredentials, channelIdentityOptions, serverCredentials } from "./tls-credentials.ts";
import { changingIdentity, type IdentitySource } from "./tls-identity.ts";

const up = instanceName("up");
const down = instanceName("down");
const PATH = "/test/Echo";

const closing: (() => void)[] = [];
let authority: Authority;
let foreign: Authority;

beforeAll(async () => {
  [authority, foreign] = await Promise.all([testAuthority(), testAuthority()]);
});

afterEach(() => {
  for (const close of closing.splice(0)) close();
});

const same = (message: Buffer): Buffer => message;

/** Answers each message with the name of whoever sent it. Resolves with the port. */
async function serve(identity: IdentitySource | undefined): Promise<number> {
  const server = new Server();
  const messages = {
    requestSerialize: same,
    requestDeserialize: same,
    responseSerialize: same,
    responseDeserialize: same,
  };
  server.addService(
    { Echo: { path: PATH, requestStream: true, responseStream: true, ...messages } },
    {
      Echo(call: import("@grpc/grpc-js").ServerDuplexStream<Buffer, Buffer>) {
        call.on("data", () => {
          const certificate = call.getAuthContext().sslPeerCertificate;
          const peer = certificate === undefined ? undefined : peerOf(certificate);
          call.write(Buffer.from(JSON.stringify(peer?.name ?? null)));
        });
        call.on("end", () => call.end());
        call.on("error", () => undefined);
      },
    },
  );
  closing.push(() => server.forceShutdown());
  return new Promise((resolve, reject) => {
    server.bindAsync("127.0.0.1:0", serverCredentials(identity), (error, port) => {
      if (error === null) resolve(port);
      else reject(error);
    });
  });
}

type Call = ClientDuplexStream<Buffer, Buffer>;

function dial(port: number, identity: IdentitySource | undefined, meant: Name = up): Client {
  const client = new Client(`127.0.0.1:${port}`, channelCredentials(identity, meant), {
    ...channelIdentityOptions(identity, meant),
    "grpc.use_local_subchannel_pool": 1,
    "grpc.enable_retries": 0,
  });
  closing.push(() => client.close());
  return client;
}

function open(client: Client): Call {
  const call = client.makeBidiStreamRequest<Buffer, Buffer>(PATH, same, same, new Metadata());
  call.on("error", () => undefined);
  closing.push(() => call.cancel());
  return call;
}

/** Whom the other side takes the caller for, or the status that the call ended with. */
function say(call: Call): Promise<unknown> {
  return new Promise((resolve) => {
    call.once("data", (message: Buffer) => resolve(JSON.parse(message.toString())));
    call.once("error", ({ code }: ServiceError) => resolve(status[code]));
    call.write(Buffer.from("x"));
  });
}

const ask = (...args: Parameters<typeof dial>): Promise<unknown> => say(open(dial(...args)));

describe("who is served with an identity", () => {
  it("is known by the certificate", async () => {
    const port = await serve(await testSource(authority, up));
    expect(await ask(port, await testSource(authority, down))).toEqual(down);
    const operator: Name = { role: "operator", pipeline: "p" };
    expect(await ask(port, await testSource(authority, operator))).toEqual(operator);
  });

  it("is not whoever speaks in the clear", async () => {
    const port = await serve(await testSource(authority, up));
    expect(await ask(port, undefined)).toBe("UNAVAILABLE");
  });

  it("is not whoever shows a certificate of another authority, of the same pipeline even", async () => {
    const port = await serve(await testSource(authority, up));
    const stranger = { ...(await testIdentity(foreign, down)), ca: Buffer.from(authority.certificate) };
    expect(await ask(port, changingIdentity(down, stranger))).toBe("UNAVAILABLE");
  });

  it("is not whoever shows a certificate that has expired", async () => {
    const port = await serve(await testSource(authority, up));
    expect(await ask(port, await testSource(authority, down, new Date(Date.now() - 1000)))).toBe("UNAVAILABLE");
  });

  it("is not whoever shows the certificate of somebody who only serves", async () => {
    const port = await serve(await testSource(authority, up));
    expect(await ask(port, await testSource(authority, { role: "control-plane", pipeline: "p" }))).toBe("UNAVAILABLE");
  });

  it("is not whoever shows none", async () => {
    const port = await serve(await testSource(authority, up));
    const socket = connectTls({
      port,
      host: "127.0.0.1",
      servername: "up-1",
      ca: authority.certificate,
      ALPNProtocols: ["h2"],
    });
    const ended = await new Promise((resolve) => {
      socket.once("error", ({ code }: NodeJS.ErrnoException) => resolve(code));
      socket.on("data", () => resolve("served"));
    });
    expect(ended).toBe("ERR_SSL_TLSV13_ALERT_CERTIFICATE_REQUIRED");
  });

  it("does not speak an older TLS", async () => {
    const port = await serve(await testSource(authority, up));
    const { ca, certificate, key } = await testIdentity(authority, down);
    const socket = connectTls({
      port,
      host: "127.0.0.1",
      servername: "up-1",
      ca,
      cert: certificate,
      key,
      maxVersion: "TLSv1.2",
    });
    const ended = await new Promise((resolve) => {
      socket.once("error", ({ code }: NodeJS.ErrnoException) => resolve(code));
      socket.once("secureConnect", () => resolve("connected"));
    });
    expect(ended).toBe("ERR_SSL_TLSV1_ALERT_PROTOCOL_VERSION");
  });
});

describe("who is dialled with an identity", () => {
  const dialled = async (name: Name, meant: Name, by = authority): Promise<unknown> =>
    ask(await serve(await testSource(by, name)), await testSource(authority, down), meant);

  it("is whom is meant, whatever the address", async () => {
    expect(await dialled(up, up)).toEqual(down);
    const controlPlane: Name = { role: "control-plane", pipeline: "p" };
    expect(await dialled(controlPlane, controlPlane)).toEqual(down);
  });

  it.each([
    ["another instance of the same component", { ...up, instance: "up-2" }],
    ["another component", instanceName("other")],
    ["the same of another pipeline", { ...up, pipeline: "q" }],
    ["the control plane", { role: "control-plane", pipeline: "p" }],
    ["an instance that has not joined", instanceName("up", "joining")],
    ["an operator", { role: "operator", pipeline: "p" }],
  ] as [string, Name][])("is not %s", async (_, name) => {
    expect(await dialled(name, up)).toBe("UNAVAILABLE");
  });

  it("is not whoever has that name from another authority", async () => {
    expect(await dialled(up, up, foreign)).toBe("UNAVAILABLE");
  });

  it("is not whoever speaks in the clear", async () => {
    expect(await ask(await serve(undefined), await testSource(authority, down))).toBe("UNAVAILABLE");
  });
});

describe("after a change of an identity", () => {
  it("streams that are open stay open, and new connections use the new one, on either side", async () => {
    const brief = new Date(Date.now() + 3_600_000);
    const [server, client] = [await testSource(authority, up, brief), await testSource(authority, down, brief)];
    const port = await serve(server);
    const call = open(dial(port, client));
    expect(await say(call)).toEqual(down);
    const past = new Date(Date.now() - 1000);
    server.change(await testIdentity(authority, up, past));
    expect(await ask(port, client)).toBe("UNAVAILABLE");
    server.change(await testIdentity(authority, up));
    client.change(await testIdentity(authority, down, past));
    expect(await ask(port, client)).toBe("UNAVAILABLE");
    client.change(await testIdentity(authority, down));
    expect(await ask(port, client)).toEqual(down);
    expect(await say(call)).toEqual(down);
  });

  it("nobody is told any more once the server is gone", async () => {
    let listeners = 0;
    const source = await testSource(authority, up);
    const port = await serve({
      ...source,
      onChange: (listener) => {
        listeners++;
        const stop = source.onChange(listener);
        return () => {
          listeners--;
          stop();
        };
      },
    });
    expect(await ask(port, await testSource(authority, down))).toEqual(down);
    expect(listeners).toBe(1);
    for (const close of closing.splice(0).reverse()) close();
    await expect.poll(() => listeners).toBe(0);
  });
});

describe("who takes connections and shows nothing", () => {
  it("holds neither a program nor a socket", async () => {
    const silent = createServer().listen(0, "127.0.0.1");
    closing.push(() => silent.close());
    await once(silent, "listening");
    const { port } = silent.address() as AddressInfo;
    const identity = await testSource(authority, down);
    const target = { scheme: "ipv4", path: `127.0.0.1:${port}` };
    const connector = channelCredentials(identity, up)._createSecureConnector(target, {});
    const socket = connect(port, "127.0.0.1");
    await once(socket, "connect");
    const connected = connector.connect(socket);
    const { _handle: handle } = socket as unknown as { readonly _handle: { hasRef(): boolean } };
    expect(handle.hasRef()).toBe(false);
    connector.destroy();
    await expect(connected).rejects.toThrow("before both sides had shown their certificates");
    expect(socket.destroyed).toBe(true);
  });

  it("is not mistaken for who does: a connection holds the program again once it is made", async () => {
    const port = await serve(await testSource(authority, up));
    const identity = await testSource(authority, down);
    const target = { scheme: "ipv4", path: `127.0.0.1:${port}` };
    const connector = channelCredentials(identity, up)._createSecureConnector(target, {
      ...channelIdentityOptions(identity, up),
    });
    const socket = connect(port, "127.0.0.1");
    const connected = await connector.connect(socket);
    closing.push(() => connected.socket.destroy());
    const { _handle: handle } = socket as unknown as { readonly _handle: { hasRef(): boolean } };
    expect(handle.hasRef()).toBe(true);
  });
});
