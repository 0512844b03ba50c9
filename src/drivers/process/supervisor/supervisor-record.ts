import { rm } from "node:fs/promises";
import type { LogLevel } from "../../../foundation/logger.ts";
import { readRecord, writeFileAtomically } from "../home/atomic-file.ts";
import type { PipelinePaths } from "../home/paths.ts";
import type { ProcessIdentity } from "../instance/process-identity.ts";

/** What the supervisor hosts the control plane with; `DesiredResource.spec` of this driver's control plane. */
export interface SupervisorSpec {
  readonly kind: "control-plane";
  /** Whether the control plane keeps its state on disk. */
  readonly persistence: boolean;
  readonly logLevel: LogLevel;
  /** Names of environment variables that hold secrets: no process of the pipeline inherits them. */
  readonly withheld: readonly string[];
  /** Whether a component inherits the whole environment; the supervisor has only what its components may have. */
  readonly inheritsEverything?: boolean;
  /** Whether everybody speaks in the clear. */
  readonly insecure?: boolean;
  /** Whether metrics are only for who has access to the pipeline. */
  readonly metrics?: "token";
}

/** `supervisor.json`: the supervisor of a pipeline, living or dead. */
export interface SupervisorRecord {
  readonly version: 1;
  readonly hash: string;
  readonly parts: Readonly<Record<string, string>>;
  readonly spec: SupervisorSpec;
  readonly identity: ProcessIdentity;
  readonly startedAt: number;
  /** Of 127.0.0.1; taken again by the next supervisor, so that components find it by themselves. */
  readonly ports: { readonly grpc: number; readonly http: number };
}

/** The record, or undefined when no supervisor ever ran or it was removed. */
export function readSupervisorRecord(paths: PipelinePaths): Promise<SupervisorRecord | undefined> {
  return readRecord(paths.supervisorFile);
}

/** Writes the record durably. */
export function writeSupervisorRecord(paths: PipelinePaths, record: SupervisorRecord): Promise<void> {
  return writeFileAtomically(paths.supervisorFile, JSON.stringify(record));
}

/** Forgets the supervisor. */
export async function removeSupervisorRecord(paths: PipelinePaths): Promise<void> {
  await rm(paths.supervisorFile, { force: true });
}
