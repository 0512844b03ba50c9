import { chainExpiry, identityOf } from "../../../identity/authority.ts";
import { changingIdentity } from "../../../identity/tls-identity.ts";
import type { ControlPlaneEndpoint } from "../../driver.ts";
import type { Engine } from "../engine/engine.ts";
import { readLabels } from "../resources/labels.ts";
import { ownerOf, wholeAuthority } from "../resources/pipeline-identity.ts";
import { CONTROL_PLANE_GRPC_PORT, CONTROL_PLANE_HTTP_PORT } from "./container-spec.ts";
import { inspectContainer, listContainers } from "./containers.ts";

/**
 * Where the control plane of a pipeline is reached from this machine: its published ports, or tunnels to it on the engine of
 * another. Undefined when its container does not run.
 */
export async function findControlPlane(
  engine: Engine,
  pipeline: string,
  signal: AbortSignal,
): Promise<ControlPlaneEndpoint | undefined> {
  const containers = await listContainers(engine, pipeline, signal);
  const found = containers.find(({ Labels }) => readLabels(Labels)?.kind === "control-plane");
  const detail = found && (await inspectContainer(engine, found.Id, signal));
  if (!detail?.State.Running) return undefined;
  const isSecure = detail.Config.Env?.some((variable) => variable.startsWith("FLOWCTL_IDENTITY_DIR=")) ?? false;
  const identity = isSecure ? await operatorOf(engine, pipeline, detail.Id, signal) : {};
  if (identity === undefined) return undefined;
  if (!engine.local) {
    const [grpc, http] = await Promise.all(
      [CONTROL_PLANE_GRPC_PORT, CONTROL_PLANE_HTTP_PORT].map((port) => engine.tunnels.to(detail.Id, port)),
    );
    return grpc === undefined ? undefined : { grpc, http: `http://${http}`, ...identity };
  }
  const published = (port: number): string | undefined => {
    const binding = detail.NetworkSettings.Ports?.[`${port}/tcp`]?.[0];
    return binding && `${binding.HostIp}:${binding.HostPort}`;
  };
  const grpc = published(CONTROL_PLANE_GRPC_PORT);
  const http = published(CONTROL_PLANE_HTTP_PORT);
  return grpc === undefined || http === undefined ? undefined : { grpc, http: `http://${http}`, ...identity };
}

/**
 * What proves that this is somebody who may use the engine, who therefore may change the pipeline. Undefined where the authority is not
 * there, or damaged: nobody can then be told from anybody else.
 */
async function operatorOf(
  engine: Engine,
  pipeline: string,
  id: string,
  signal: AbortSignal,
): Promise<Pick<ControlPlaneEndpoint, "identity" | "authorityExpires"> | undefined> {
  const authority = await wholeAuthority(engine, id, pipeline, signal);
  if (authority === undefined) return undefined;
  const name = { role: "operator", pipeline } as const;
  const operator = await ownerOf(engine, id, authority, signal);
  const until = chainExpiry(authority);
  const identity = changingIdentity(name, identityOf(authority, operator));
  return { identity, ...(until === undefined ? {} : { authorityExpires: until }) };
}
