import { Client, Metadata, type StatusObject, status } from "@grpc/grpc-js";
import type { Name } from "../../src/identity/names.ts";
import { channelCredentials, channelIdentityOptions } from "../../src/identity/tls-credentials.ts";
import type { IdentitySource } from "../../src/identity/tls-identity.ts";

const clients: Client[] = [];
const controlPlane: Name = { role: "control-plane", pipeline: "p" };

/** Who shows a certificate, at whatever address answers as `meant`. */
export function dial(address: string, identity: IdentitySource | undefined, meant = controlPlane): Client {
  const client = new Client(address, channelCredentials(identity, meant), {
    ...channelIdentityOptions(identity, meant),
    "grpc.use_local_subchannel_pool": 1,
  });
  clients.push(client);
  return client;
}

export interface Answer {
  readonly status: keyof typeof status;
  /** The code of flowctl's error. */
  readonly code: string;
  readonly message: string;
}

/** How a call is answered: `OK` also when a stream has brought something. */
export function call(client: Client, path: string, request: Buffer = Buffer.alloc(0)): Promise<Answer> {
  const raw = (message: Buffer): Buffer => message;
  const stream = client.makeBidiStreamRequest<Buffer, Buffer>(path, raw, raw, new Metadata());
  return new Promise((resolve) => {
    stream.once("data", () => {
      resolve({ status: "OK", code: "", message: "" });
      stream.cancel();
    });
    stream.on("error", () => undefined);
    stream.once("status", ({ code, details, metadata }: StatusObject) => {
      const [name = ""] = metadata.get("flowctl-code");
      resolve({ status: status[code] as keyof typeof status, code: String(name), message: details });
    });
    stream.write(request);
    stream.end();
  });
}

/** Closes every connection that `dial` has made. */
export function hangUp(): void {
  for (const client of clients.splice(0)) client.close();
}
