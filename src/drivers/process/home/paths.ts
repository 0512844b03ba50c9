import { createHash } from "node:crypto";
import { homedir } from "node:os";
import { join, resolve } from "node:path";
import { FlowctlError } from "../../../foundation/errors.ts";
import { canonicalFolder } from "../../../pipeline/project-folder.ts";

/** Where everything of one pipeline lies. All paths are absolute. */
export interface PipelinePaths {
  readonly pipeline: string;
  readonly folder: string;
  readonly supervisorFile: string;
  /** Names the folder that the pipeline belongs to. */
  readonly projectFile: string;
  /** Of the supervisor. */
  readonly socket: string;
  /** The control plane's store. */
  readonly controlPlane: string;
  readonly logs: string;
  readonly instances: string;
  readonly state: string;
  readonly secrets: string;
  readonly configs: string;
  /** The authority of the pipeline, and who operates it. */
  readonly identity: string;
  /** What instances join with. */
  readonly joining: string;
  /** Value of `FLOWCTL_RUN_ID` in the environment of every process of the pipeline; unique to the folder. */
  readonly runId: string;
}

/** A unix socket's path may have 107 bytes on Linux and 103 on macOS, and in an address of gRPC no line end. */
const LONGEST_SOCKET_PATH = 100;

/** The folder of the process driver: `FLOWCTL_HOME`, else `$XDG_STATE_HOME/flowctl`, else `~/.local/state/flowctl`. */
export function flowctlHome(environment: Readonly<Record<string, string | undefined>>): string {
  if (environment.FLOWCTL_HOME) return resolve(environment.FLOWCTL_HOME);
  if (environment.XDG_STATE_HOME) return resolve(environment.XDG_STATE_HOME, "flowctl");
  return resolve(environment.HOME || homedir(), ".local", "state", "flowctl");
}

/** The folder that holds one folder for each pipeline. */
export function pipelinesFolder(home: string): string {
  // The same folder must give the same marker by whatever link it was reached.
  return join(canonicalFolder(home), "pipelines");
}

/** Lays out the folder of one pipeline. Touches nothing. Rejects names that would leave the folder. */
export function pipelinePaths(home: string, pipeline: string): PipelinePaths {
  if (!/^[A-Za-z0-9][A-Za-z0-9_.-]*$/.test(pipeline)) {
    throw new FlowctlError({
      code: "process/bad-pipeline-name",
      kind: "invalid",
      message: `Invalid pipeline name ${JSON.stringify(pipeline)}`,
      fix: "Use letters, digits, '-' and '_', starting with a letter or digit",
    });
  }
  const folder = join(pipelinesFolder(home), pipeline);
  const runId = createHash("sha256").update(folder).digest("hex").slice(0, 20);
  const socketPath = (name: string): string => {
    const path = join(folder, name);
    const fits = Buffer.byteLength(path) <= LONGEST_SOCKET_PATH && /^.+$/.test(path);
    return fits ? path : `/tmp/flowctl-${runId}/${name}`;
  };
  return {
    pipeline,
    folder,
    supervisorFile: join(folder, "supervisor.json"),
    projectFile: join(folder, "project.json"),
    socket: socketPath("supervisor.grpc.sock"),
    controlPlane: join(folder, "control-plane"),
    logs: join(folder, "logs"),
    instances: join(folder, "instances"),
    state: join(folder, "state"),
    secrets: join(folder, "secrets"),
    configs: join(folder, "configs"),
    identity: join(folder, "identity"),
    joining: join(folder, "joining"),
    runId,
  };
}
