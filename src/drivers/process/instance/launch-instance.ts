import { type ChildProcess, spawn } from "node:child_process";
import { closeSync, mkdirSync, openSync } from "node:fs";
import { join } from "node:path";
import { FlowctlError } from "../../../foundation/errors.ts";
import type { IdentityFolder } from "../../../identity/identity-folder.ts";
import type { JoiningFiles } from "../../../identity/joining-files.ts";
import type { Component } from "../../../pipeline/pipeline.ts";
import { componentEnvironment } from "../../component-environment.ts";
import type { PipelinePaths } from "../home/paths.ts";
import { spoolName } from "../logs/log-format.ts";
import { configsFolder, secretsFolder, stateFolder, writeJoining } from "./instance-files.ts";
import type { InstanceRecord } from "./instance-record.ts";
import { identify, type ProcessIdentity, RUN_ID_VARIABLE } from "./process-identity.ts";

export interface Launched {
  readonly child: ChildProcess;
  readonly identity: ProcessIdentity;
}

export interface LaunchContext {
  readonly paths: PipelinePaths;
  /** What the instances of a component inherit. */
  inherited(component: Component): Readonly<Record<string, string>>;
  /** `host:port` of the control plane. */
  readonly controlPlane: string;
  /** Of the pipeline; absent where everybody speaks in the clear. */
  readonly identity?: IdentityFolder | undefined;
}

/**
 * Starts the program of an instance in a session and process group of its own, with its output going straight into
 * its spools: neither a Ctrl-C of a terminal nor the end of this process reaches it. Rejects with
 * `process/spawn-failed` when the system will not run it.
 */
export async function launchInstance(record: InstanceRecord, context: LaunchContext): Promise<Launched> {
  const { paths } = context;
  const { argv, directory } = record.spec;
  const [program, ...rest] = argv as [string, ...string[]];
  const { identity } = context;
  const joining = identity && (await writeJoining(paths, identity, record.spec.component.id, record.instance));
  mkdirSync(paths.logs, { recursive: true, mode: 0o700 });
  mkdirSync(stateFolder(paths, record.instance), { recursive: true, mode: 0o700 });
  const stdout = openSync(join(paths.logs, spoolName(record.instance, "stdout")), "a", 0o600);
  const stderr = openSync(join(paths.logs, spoolName(record.instance, "stderr")), "a", 0o600);
  try {
    const child = spawn(program, rest, {
      cwd: directory,
      env: instanceEnvironment(record, context, joining),
      stdio: ["ignore", stdout, stderr],
      detached: true,
    });
    if (child.pid === undefined) throw await failure(child);
    // Read in the same turn: the process cannot be reaped, and its pid not used again, before this.
    return { child, identity: identify(child.pid) ?? { pid: child.pid, birth: "" } };
  } catch (error) {
    throw FlowctlError.wrap(error, {
      code: "process/spawn-failed",
      kind: "unavailable",
      message: `Cannot start ${record.instance} (${program} in ${directory})`,
      fix: "Check that the program and the folder exist and that you have access to them",
    });
  } finally {
    closeSync(stdout);
    closeSync(stderr);
  }
}

function instanceEnvironment(
  record: InstanceRecord,
  context: LaunchContext,
  identity: JoiningFiles | undefined,
): Record<string, string> {
  const { paths, controlPlane } = context;
  const { instance, index, ports, spec } = record;
  const contract = componentEnvironment({ name: paths.pipeline }, spec.component, {
    index,
    controlPlane,
    listen: `127.0.0.1:${ports.listen}`,
    advertise: `127.0.0.1:${ports.listen}`,
    healthPort: ports.health,
    stateDirectory: stateFolder(paths, instance),
    secretsDirectory: secretsFolder(paths, instance),
    identity,
    logLevel: spec.logLevel,
  });
  const configs = spec.component.configs.length > 0 ? { FLOWCTL_CONFIGS_DIR: configsFolder(paths, instance) } : {};
  return { ...context.inherited(spec.component), ...contract, ...configs, [RUN_ID_VARIABLE]: paths.runId };
}

function failure(child: ChildProcess): Promise<unknown> {
  return new Promise((resolve) => child.once("error", resolve));
}
