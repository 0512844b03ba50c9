import { readdir, rm } from "node:fs/promises";
import { join } from "node:path";
import type { LogLevel } from "../../../foundation/logger.ts";
import type { Component } from "../../../pipeline/pipeline.ts";
import type { ResourceKey } from "../../driver.ts";
import { isMissing, notRead, readRecord, writeFileAtomically } from "../home/atomic-file.ts";
import type { PipelinePaths } from "../home/paths.ts";
import type { ProcessIdentity } from "./process-identity.ts";

/** What the driver needs to make a component instance; `DesiredResource.spec` of this driver's components. */
export interface ComponentSpec {
  readonly kind: "component";
  readonly component: Component;
  /** Program and arguments; the program is an absolute path. */
  readonly argv: readonly string[];
  /** Working directory. */
  readonly directory: string;
  readonly logLevel: LogLevel;
}

/** What is on disk about one instance: `instances/<instance>.json`. Never holds secret values. */
export interface InstanceRecord {
  readonly version: 1;
  readonly instance: string;
  readonly key: ResourceKey;
  readonly owner: string;
  /** From 1. */
  readonly index: number;
  readonly hash: string;
  readonly parts: Readonly<Record<string, string>>;
  readonly spec: ComponentSpec;
  /** Kept over restarts and replacement as long as nobody else takes them. */
  readonly ports: { readonly listen: number; readonly health: number };
  /** `stopped` when somebody asked for it: then an exit is no failure and nothing starts it but an explicit change. */
  readonly desired: "running" | "stopped";
  readonly process: RunState;
  readonly restarts: number;
}

export type RunState =
  | { readonly status: "created" }
  | {
      readonly status: "running";
      readonly identity: ProcessIdentity;
      readonly startedAt: number;
      /** The control plane it was told of. */
      readonly controlPlane: string;
      /** Result of the component's own `healthcheck`, where it has one. */
      readonly health?: "starting" | "healthy" | "unhealthy";
    }
  | {
      readonly status: "exited";
      /** -1: it ended while no supervisor watched, so nobody knows. */
      readonly exitCode: number;
      readonly finishedAt: number;
    };

/** Exit code of a process whose end nobody saw. */
export const UNKNOWN_EXIT_CODE = -1;

/** Every instance that has a record, in the order of their names. */
export async function readInstanceRecords(paths: PipelinePaths): Promise<readonly InstanceRecord[]> {
  let names: readonly string[];
  try {
    names = await readdir(paths.instances);
  } catch (error) {
    if (isMissing(error)) return [];
    throw notRead(error, paths.instances);
  }
  const records = await Promise.all(
    names
      .filter((name) => name.endsWith(".json"))
      .sort()
      .map((name) => readRecord<InstanceRecord>(join(paths.instances, name))),
  );
  return records.filter((record) => record !== undefined);
}

/** The record of one instance; undefined when it has none. */
export function readInstanceRecord(paths: PipelinePaths, instance: string): Promise<InstanceRecord | undefined> {
  return readRecord(recordFile(paths, instance));
}

/** Writes the record durably. */
export function writeInstanceRecord(paths: PipelinePaths, record: InstanceRecord): Promise<void> {
  return writeFileAtomically(recordFile(paths, record.instance), JSON.stringify(record));
}

/** Forgets the instance; no error when it is forgotten already. */
export function removeInstanceRecord(paths: PipelinePaths, instance: string): Promise<void> {
  return rm(recordFile(paths, instance), { force: true });
}

function recordFile(paths: PipelinePaths, instance: string): string {
  return join(paths.instances, `${instance}.json`);
}
