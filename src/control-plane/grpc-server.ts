import {
  logVerbosity,
  type Server,
  ServerInterceptingCall,
  type ServerInterceptor,
  type ServiceDefinition,
  setLogVerbosity,
  type UntypedServiceImplementation,
} from "@grpc/grpc-js";
import { HealthImplementation } from "grpc-health-check";
import type { Clock } from "../foundation/clock.ts";
import { FlowctlError } from "../foundation/errors.ts";
import type { Peer } from "../identity/peer.ts";
import { peerOfCall } from "../identity/peer-of-call.ts";
import { requirePermission } from "../identity/permissions.ts";
import { serverCredentials } from "../identity/tls-credentials.ts";
import type { IdentitySource } from "../identity/tls-identity.ts";
import { serverChannelOptions } from "../protocol/channel-options.ts";
import { pipelineControl } from "../protocol/control-messages.ts";
import { toStatus } from "../protocol/grpc-errors.ts";
import { componentRegistry } from "../protocol/registry-messages.ts";
import { createGrpcServer } from "../protocol/server.ts";
import type { ServiceName } from "../protocol/service-definitions.ts";
import { definitionOf } from "../protocol/service-methods.ts";
import { eventStreamDefinition } from "../streams/sending/event-stream-server.ts";
import { addReflection } from "./reflection.ts";

export interface GrpcServer {
  /** `host:port` as asked for, with the port that was given. */
  readonly address: string;
  /** Tells health watchers, takes no new calls, waits shortly for those that run, ends the rest. */
  close(): Promise<void>;
}

const definitions: Readonly<Record<ServiceName, ServiceDefinition>> = {
  "flowctl.registry.v1.ComponentRegistry": definitionOf(componentRegistry),
  "flowctl.control.v1.PipelineControl": definitionOf(pipelineControl),
  "flowctl.stream.v1.EventStream": eventStreamDefinition,
};

/** Time that running calls get at the end, in milliseconds. */
const closeGraceMs = 1000;

/** Who the control plane is, and whom it lets call. */
export interface GrpcAdmission {
  readonly identity: IdentitySource;
  readonly clock: Pick<Clock, "now">;
  /** Throws for a peer whose certificate is void, although the authority made it, or rejects where that takes time. */
  readonly require: (peer: Peer) => Promise<void> | undefined;
  /** Calls back when a peer that was let in is not to be served any more. Returns how to stop that. */
  readonly follow: (peer: Peer, onRefused: (error: Error) => void) => () => void;
}

/**
 * Serves the given services on `listen` (`host:port`; port 0 takes a free one), with the standard health service and
 * with reflection of the whole public protocol, EventStream included, so that generic clients can ask what there is.
 *
 * @param admission Left out: everybody may call everything, in the clear.
 */
export async function startGrpcServer(
  listen: string,
  services: Readonly<Partial<Record<ServiceName, UntypedServiceImplementation>>>,
  admission?: GrpcAdmission,
): Promise<GrpcServer> {
  // The library would print what is thrown as well.
  setLogVerbosity(logVerbosity.NONE);
  const interceptors = admission === undefined ? [] : [admitting(admission)];
  const server = createGrpcServer({ ...serverChannelOptions(), interceptors });
  const health = new HealthImplementation({ "": "SERVING" });
  const names = Object.keys(services) as ServiceName[];
  for (const name of names) {
    server.addService(definitions[name], services[name] ?? {});
    health.setStatus(name, "SERVING");
  }
  health.addToServer(server);
  addReflection(server, Object.keys(definitions) as ServiceName[]);
  const port = await bind(server, listen, admission?.identity);
  return {
    address: `${listen.slice(0, listen.lastIndexOf(":"))}:${port}`,
    async close() {
      for (const name of ["", ...names]) health.setStatus(name, "NOT_SERVING");
      await new Promise<void>((resolve) => {
        // A connection in which an answer is stuck is closed by Node.js only once TCP gives it up: nobody waits for that.
        const force = setTimeout(() => {
          server.forceShutdown();
          resolve();
        }, closeGraceMs);
        server.tryShutdown(() => {
          clearTimeout(force);
          resolve();
        });
      });
    },
  };
}

/**
 * Refuses what is not permitted before anything is read of it: at each call, as connections outlast certificates. A stream, which may last as
 * long, ends when its caller loses access.
 */
function admitting({ identity, clock, require, follow }: GrpcAdmission): ServerInterceptor {
  return ({ path, responseStream }, call) => {
    const refuse = (error: unknown): void => call.sendStatus(toStatus(error));
    let isOver = false;
    let forget = (): void => undefined;
    return new ServerInterceptingCall(call, {
      start: (next) =>
        next({
          onReceiveMetadata(metadata, admit) {
            let waiting: Promise<void> | undefined;
            let peer: Peer;
            try {
              peer = requirePermission(path, peerOfCall(call), identity.name.pipeline, clock.now());
              waiting = require(peer);
            } catch (error) {
              refuse(error);
              return;
            }
            const enter = (): void => {
              if (isOver) return;
              // What a single call was let in for, it does: rotating one's own certificate is such a call.
              if (responseStream) forget = follow(peer, refuse);
              admit(metadata);
            };
            if (waiting === undefined) enter();
            else waiting.then(enter, refuse);
          },
          onCancel() {
            isOver = true;
            forget();
          },
        }),
    });
  };
}

function bind(server: Server, listen: string, identity: IdentitySource | undefined): Promise<number> {
  return new Promise((resolve, reject) => {
    server.bindAsync(listen, serverCredentials(identity), (error, port) => {
      if (error === null) resolve(port);
      else
        reject(
          FlowctlError.wrap(error, {
            code: "control-plane/cannot-listen",
            kind: "unavailable",
            message: `cannot listen on ${listen}`,
            fix: "Stop the program that uses the address, or choose another address.",
          }),
        );
    });
  });
}
