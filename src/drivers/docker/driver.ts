import { withDeadline } from "../../foundation/deadline.ts";
import { FlowctlError } from "../../foundation/errors.ts";
import type { Driver, DriverProbe } from "../driver.ts";
import { applyChange } from "./apply.ts";
import { DOCKER_CAPABILITIES } from "./capabilities.ts";
import { listContainers } from "./container/containers.ts";
import { findControlPlane } from "./container/control-plane-endpoint.ts";
import { endpointText } from "./engine/endpoint.ts";
import { connectEngine, type Engine, engineInfo, engineVersion } from "./engine/engine.ts";
import { driverEvents } from "./events.ts";
import type { Installation } from "./installation.ts";
import { pipelineLogs } from "./logs.ts";
import { observePipeline } from "./observe.ts";
import { prepareDeployment } from "./prepare.ts";
import { HashKeys } from "./resources/hash-key.ts";
import { readLabels } from "./resources/labels.ts";
import { listNetworks } from "./resources/networks.ts";
import { Authorities } from "./resources/pipeline-identity.ts";
import { listVolumes } from "./resources/volumes.ts";

/** How long `probe` waits for the engine, in milliseconds. */
const PROBE_MS = 5_000;

/**
 * The driver that runs a pipeline as containers of a Docker engine. Keeps no state of its own: everything is in labels, and the key of their hashes and the authority in the control plane's volume.
 * Connects at the first call. Unless `options` say who runs flowctl, that is the user of this process.
 */
export function createDockerDriver(options: Installation): Driver {
  const installation: Installation = { ...currentUser(), ...options };
  const kept = { hashKeys: new HashKeys(), authorities: new Authorities() };
  let connection: Promise<Engine> | undefined;
  const engine = (): Promise<Engine> => {
    connection ??= connectEngine(installation.environment);
    return connection;
  };
  return {
    name: "docker",
    capabilities: DOCKER_CAPABILITIES,
    probe: (signal) => probe(engine, signal),
    prepare: async (deployment, prepare) => prepareDeployment(await engine(), installation, deployment, prepare, kept),
    observe: async (pipeline, signal) => observePipeline(await engine(), pipeline, signal),
    apply: async (change, context) =>
      applyChange(await engine(), { version: installation.version, ...kept }, change, context),
    async *logs(pipeline, log, signal) {
      yield* pipelineLogs(await engine(), pipeline, log, signal);
    },
    async *events(pipeline, signal) {
      yield* driverEvents(await engine(), pipeline, signal);
    },
    controlPlane: async (pipeline, signal) => findControlPlane(await engine(), pipeline, signal),
    pipelines: async (signal) => pipelineNames(await engine(), signal),
    here: async (signal) => {
      const connected = await engine();
      if (!connected.local) return undefined;
      const { DockerRootDir } = await engineInfo(connected, signal);
      return { folder: DockerRootDir ?? "/var/lib/docker", own: false, publishes: true };
    },
  };
}

async function probe(engine: () => Promise<Engine>, signal: AbortSignal): Promise<DriverProbe> {
  const linked = withDeadline(signal, PROBE_MS);
  try {
    const connected = await engine();
    const version = await engineVersion(connected, linked);
    if (version.Os !== "linux") {
      return {
        available: false,
        reason: `the Docker engine runs ${version.Os} containers, but flowctl needs Linux containers`,
        fix: "switch Docker to Linux containers, or run the pipeline with `--driver process`",
      };
    }
    const where = endpointText(connected.endpoint);
    return { available: true, detail: `Docker ${version.Version} (API ${version.ApiVersion}) at ${where}` };
  } catch (error) {
    if (signal.aborted) throw error;
    if (!(error instanceof FlowctlError)) throw error;
    if (error.kind === "cancelled") {
      return {
        available: false,
        reason: "timed out after 5 s waiting for the Docker engine",
        fix: "restart it: `sudo systemctl restart docker`",
      };
    }
    return { available: false, reason: error.message, ...(error.fix === undefined ? {} : { fix: error.fix }) };
  }
}

async function pipelineNames(engine: Engine, signal: AbortSignal): Promise<readonly string[]> {
  const [containers, networks, volumes] = await Promise.all([
    listContainers(engine, undefined, signal),
    listNetworks(engine, signal),
    listVolumes(engine, undefined, signal),
  ]);
  const labels = [...containers, ...networks, ...volumes].map(({ Labels }) => readLabels(Labels)?.pipeline);
  return [...new Set(labels.filter((name) => name !== undefined))].sort();
}

function currentUser(): Pick<Installation, "invoker"> {
  const uid = process.getuid?.();
  const gid = process.getgid?.();
  return uid === undefined || gid === undefined ? {} : { invoker: { uid, gid } };
}
