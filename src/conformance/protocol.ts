import { existsSync } from "node:fs";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import type { MethodDefinition, ServiceDefinition } from "@grpc/grpc-js";
import { loadSync, type PackageDefinition } from "@grpc/proto-loader";
import { FlowctlError } from "../foundation/errors.ts";
import type { ReceivedResponse, SubscribeRequest, SubscribeResponse } from "./messages.ts";
import { eventSizes } from "./wire.ts";

/** The services of the contract, ready for grpc-js. */
export interface Protocol {
  readonly registry: ServiceDefinition;
  readonly eventStream: ServiceDefinition;
}

/**
 * Loads the protocol files with nothing but proto-loader. In EventStream a Buffer is sent as the bytes that it holds,
 * in both directions, so that a check can say what no schema allows; responses arrive as {@link ReceivedResponse}.
 */
export function loadProtocol(): Protocol {
  const root = protocolRoot();
  const loaded = loadSync(["flowctl/registry/v1/registry.proto", "flowctl/stream/v1/stream.proto"], {
    includeDirs: [root],
    longs: Number,
    enums: String,
    defaults: true,
    oneofs: true,
  });
  const subscribe = service(loaded, "flowctl.stream.v1.EventStream");
  return {
    registry: service(loaded, "flowctl.registry.v1.ComponentRegistry"),
    eventStream: { ...subscribe, Subscribe: withRawBytes(subscribe.Subscribe!) },
  };
}

function withRawBytes(method: MethodDefinition<object, object>): MethodDefinition<object, object> {
  return {
    ...method,
    requestSerialize: (request: SubscribeRequest | Buffer) =>
      Buffer.isBuffer(request) ? request : method.requestSerialize(request),
    responseSerialize: (response: SubscribeResponse | Buffer) =>
      Buffer.isBuffer(response) ? response : method.responseSerialize(response),
    responseDeserialize: (bytes: Buffer): ReceivedResponse => ({
      message: method.responseDeserialize(bytes) as SubscribeResponse,
      eventSizes: eventSizes(bytes),
      size: bytes.length,
    }),
  };
}

function service(loaded: PackageDefinition, name: string): ServiceDefinition {
  const found = loaded[name];
  if (found === undefined || "format" in found) {
    throw new FlowctlError({
      code: "conformance/protocol-missing",
      kind: "internal",
      message: `The protocol files do not define ${name}`,
    });
  }
  return found as ServiceDefinition;
}

/** `proto/` beside the package's `dist/` or `src/`, from wherever this module was bundled to. */
function protocolRoot(): string {
  const tried = ["../proto", "../../proto"].map((path) => fileURLToPath(new URL(path, import.meta.url)));
  const found = tried.find((path) => existsSync(join(path, "flowctl")));
  if (found !== undefined) return found;
  throw new FlowctlError({
    code: "conformance/protocol-missing",
    kind: "internal",
    message: `The protocol files are neither at ${tried.join(" nor at ")}`,
    fix: "Install flowctl again: its package holds them in proto/",
  });
}
