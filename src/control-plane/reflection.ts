import { Duplex } from "node:stream";
import {
  type MethodDefinition,
  type Server,
  type ServerDuplexStream,
  type ServiceDefinition,
  status,
} from "@grpc/grpc-js";
import { messageOf } from "../foundation/errors.ts";
import { loadProtocol, type ServiceName } from "../protocol/service-definitions.ts";

const SERVICES = ["grpc.reflection.v1.ServerReflection", "grpc.reflection.v1alpha.ServerReflection"];
const METHOD = "ServerReflectionInfo";

/** A method of the library's, which takes and gives messages. */
interface Served {
  readonly method: MethodDefinition<unknown, unknown>;
  readonly handle: (stream: Duplex) => void;
}

/**
 * Serves reflection of these services, of both versions that clients ask for
 * (https://github.com/grpc/grpc/blob/master/doc/server-reflection.md). The library is loaded by the first call: few ask, and reading
 * the protocol files was a third of what the start of a control plane took.
 */
export function addReflection(server: Server, services: readonly ServiceName[]): void {
  let loading: Promise<ReadonlyMap<string, Served>> | undefined;
  const load = (): Promise<ReadonlyMap<string, Served>> => {
    loading ??= served(services).catch((error: unknown) => {
      loading = undefined;
      throw error;
    });
    return loading;
  };
  for (const service of SERVICES) {
    const path = `/${service}/${METHOD}`;
    server.addService(
      { [METHOD]: inBytes(path) },
      {
        [METHOD]: (call: ServerDuplexStream<Buffer, Buffer>) => {
          load().then(
            (all) => serve(call, all.get(path)),
            (error: unknown) => refuse(call, status.UNAVAILABLE, error),
          );
        },
      },
    );
  }
}

/** What the library adds to a server, by path. */
async function served(services: readonly ServiceName[]): Promise<ReadonlyMap<string, Served>> {
  const { ReflectionService } = await import("@grpc/reflection");
  const found = new Map<string, Served>();
  const collector = {
    addService(definition: ServiceDefinition, implementation: Readonly<Record<string, Served["handle"]>>): void {
      for (const [name, method] of Object.entries(definition)) {
        const handle = implementation[name];
        if (handle !== undefined) found.set(method.path, { method, handle });
      }
    },
  };
  new ReflectionService(loadProtocol(services)).addToServer(collector as unknown as Server);
  return found;
}

/** Has the library serve a call that was taken in bytes. */
function serve(call: ServerDuplexStream<Buffer, Buffer>, found: Served | undefined): void {
  if (found === undefined) {
    refuse(call, status.UNIMPLEMENTED, "the library does not serve this");
    return;
  }
  const { method, handle } = found;
  const messages = new Duplex({
    objectMode: true,
    read: () => void call.resume(),
    // An answer that comes after the call was refused, or is gone, is nobody's.
    write: (message, _encoding, done) =>
      call.writable ? void call.write(method.responseSerialize(message), () => done()) : done(),
    final(done) {
      call.end();
      done();
    },
  });
  handle(messages);
  call.on("data", (bytes: Buffer) => {
    try {
      if (!messages.push(method.requestDeserialize(bytes))) call.pause();
    } catch (error) {
      messages.destroy();
      refuse(call, status.INTERNAL, error);
    }
  });
  call.on("end", () => messages.push(null));
  call.on("cancelled", () => messages.destroy());
}

function refuse(call: ServerDuplexStream<Buffer, Buffer>, code: status, error: unknown): void {
  call.emit("error", { code, details: messageOf(error) });
}

function inBytes(path: string): MethodDefinition<Buffer, Buffer> {
  const same = (bytes: Buffer): Buffer => bytes;
  return {
    path,
    requestStream: true,
    responseStream: true,
    requestSerialize: same,
    requestDeserialize: same,
    responseSerialize: same,
    responseDeserialize: same,
  };
}
