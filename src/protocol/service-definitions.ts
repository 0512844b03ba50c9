import { join } from "node:path";
import type { ServiceDefinition } from "@grpc/grpc-js";
import { loadSync, type PackageDefinition } from "@grpc/proto-loader";
import { FlowctlError } from "../foundation/errors.ts";
import { packageRoot } from "../foundation/package-root.ts";

/** The services of flowctl's public protocol, by the name they have on the wire. */
export type ServiceName =
  | "flowctl.registry.v1.ComponentRegistry"
  | "flowctl.control.v1.PipelineControl"
  | "flowctl.stream.v1.EventStream";

const files: Readonly<Record<ServiceName, string>> = {
  "flowctl.registry.v1.ComponentRegistry": "flowctl/registry/v1/registry.proto",
  "flowctl.control.v1.PipelineControl": "flowctl/control/v1/control.proto",
  "flowctl.stream.v1.EventStream": "flowctl/stream/v1/stream.proto",
};

/**
 * Reads the protocol files of the given services, and what they import, from the package's `proto/` folder. Messages
 * are plain objects: camelCase keys, 64-bit numbers as `number`, enum values as their names, every field present.
 * Takes some milliseconds and file reads: load once and keep what comes back.
 */
export function loadProtocol(services: readonly ServiceName[]): PackageDefinition {
  return loadSync(
    services.map((name) => files[name]),
    {
      includeDirs: [join(packageRoot(), "proto")],
      keepCase: false,
      longs: Number,
      enums: String,
      defaults: true,
      oneofs: true,
    },
  );
}

/** The definition of one service out of what `loadProtocol` returned. */
export function serviceOf(protocol: PackageDefinition, name: ServiceName): ServiceDefinition {
  const definition = protocol[name];
  if (definition === undefined || "format" in definition) {
    throw new FlowctlError({
      code: "protocol/no-service",
      kind: "internal",
      message: `the protocol files do not define the service ${name}`,
    });
  }
  return definition as ServiceDefinition;
}
