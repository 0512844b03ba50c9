import { existsSync } from "node:fs";
import { get } from "node:http";
import { withDeadline } from "../../foundation/deadline.ts";
import type { ObservedResource, ObservedState } from "../driver.ts";
import { fingerprint } from "../fingerprint.ts";
import { CONTROL_PLANE, IS_THERE, instanceIdentity } from "../identity.ts";
import type { PipelinePaths } from "./home/paths.ts";
import { readProjectFolder } from "./home/project-record.ts";
import { hasSecrets } from "./instance/instance-files.ts";
import {
  type InstanceRecord,
  readInstanceRecord,
  readInstanceRecords,
  UNKNOWN_EXIT_CODE,
} from "./instance/instance-record.ts";
import { hasBegunToExit, isAlive, type MarkedProcess, markedProcesses } from "./instance/process-identity.ts";
import { STATE_VOLUME } from "./prepare.ts";
import { readSupervisorRecord, type SupervisorRecord } from "./supervisor/supervisor-record.ts";

const HEALTH_TIMEOUT_MS = 1_000;
const SETTLE_MS = 1_000;

/**
 * Everything of a pipeline that exists, from its files and from the processes that carry its marker; needs no
 * supervisor. Health is asked of the processes themselves, all at once, within about a second.
 */
export async function observePipeline(paths: PipelinePaths, signal: AbortSignal): Promise<readonly ObservedResource[]> {
  const [supervisor, records, folder] = await Promise.all([
    readSupervisorRecord(paths),
    readInstanceRecords(paths),
    readProjectFolder(paths),
  ]);
  const stateful = [paths.state, paths.controlPlane].some((path) => existsSync(path));
  const made = [paths.logs, paths.instances, paths.secrets, paths.configs].some((path) => existsSync(path));
  // Without state in it the pipeline's folder is there only while the pipeline is, or was left by a crash, at whatever moment.
  const begun = made || (existsSync(paths.folder) && !stateful);
  const marked = markedProcesses(paths.runId);
  const supervised = supervisor !== undefined && isRunning(supervisor);
  const known = new Set(records.map(({ instance }) => instance));
  const [controlPlane, ...components] = await Promise.all([
    observeSupervisor(supervisor, { begun, marked }, signal),
    ...records.map(async (record) =>
      observeInstance(paths, supervised ? await settled(paths, record, marked) : record, marked, signal),
    ),
  ]);
  const found = [
    ...(stateful ? [observedVolume(paths)] : []),
    ...(controlPlane === undefined ? [] : [controlPlane]),
    ...components,
    ...strays(marked, known),
  ];
  return folder === undefined ? found : found.map((resource) => ({ ...resource, folder }));
}

function observedVolume(paths: PipelinePaths): ObservedResource {
  return {
    ...STATE_VOLUME,
    ...fingerprint({ format: 1 }),
    state: IS_THERE,
    ref: paths.state,
    name: paths.state,
    ports: [],
  };
}

async function observeSupervisor(
  record: SupervisorRecord | undefined,
  traces: { readonly begun: boolean; readonly marked: readonly MarkedProcess[] },
  signal: AbortSignal,
): Promise<ObservedResource | undefined> {
  const base = { ...CONTROL_PLANE, name: "flowctl supervisor" };
  if (record !== undefined && isRunning(record)) {
    return {
      ...base,
      hash: record.hash,
      parts: record.parts,
      ref: String(record.identity.pid),
      ports: [`127.0.0.1:${record.ports.grpc}->grpc`, `127.0.0.1:${record.ports.http}->http`],
      state: {
        status: "running",
        startedAt: record.startedAt,
        health: await probeHealth(record.ports.http, signal),
        restarts: 0,
      },
    };
  }
  if (record !== undefined) {
    const exited = { exitCode: UNKNOWN_EXIT_CODE, oomKilled: false, finishedAt: record.startedAt, restarts: 0 };
    return {
      ...base,
      hash: record.hash,
      parts: record.parts,
      ref: String(record.identity.pid),
      ports: [],
      state: { status: "exited", ...exited },
    };
  }
  // Without a record it is just being started, or was killed while it was: then it left processes or files.
  if (!traces.begun && traces.marked.length === 0) return undefined;
  const starting = traces.marked.find(({ instance, isWatcher }) => instance === undefined && !isWatcher);
  const ref = starting === undefined ? "" : String(starting.pid);
  return { ...base, hash: "", parts: {}, ref, ports: [], state: { status: "created" } };
}

function isRunning({ identity }: SupervisorRecord): boolean {
  if (identity.pid === process.pid) return true;
  // One that is being ended while it is looked at would be taken for one that need not be started.
  return isAlive(identity) && !hasBegunToExit(identity.pid);
}

/** A living supervisor records the exit code of what has just ended in a moment. */
async function settled(
  paths: PipelinePaths,
  record: InstanceRecord,
  marked: readonly MarkedProcess[],
): Promise<InstanceRecord> {
  let latest = record;
  for (let waited = 0; waited < SETTLE_MS; waited += 10) {
    const { process: run } = latest;
    if (run.status !== "running" || isAlive(run.identity) || leaderOf(record.instance, marked) !== undefined) break;
    await new Promise((resolve) => setTimeout(resolve, 10));
    latest = (await readInstanceRecord(paths, record.instance)) ?? latest;
  }
  return latest;
}

async function observeInstance(
  paths: PipelinePaths,
  record: InstanceRecord,
  marked: readonly MarkedProcess[],
  signal: AbortSignal,
): Promise<ObservedResource> {
  const run = record.process;
  // Right after a crash of the supervisor the process can be there while the record does not know it yet.
  const identity = run.status === "running" && isAlive(run.identity) ? run.identity : leaderOf(record.instance, marked);
  const state = await stateOf(record, identity !== undefined, signal);
  const ports =
    state.status === "running"
      ? [`127.0.0.1:${record.ports.listen}->stream`, `127.0.0.1:${record.ports.health}->health`]
      : [];
  return {
    key: record.key,
    kind: "component",
    owner: record.owner,
    index: record.index,
    hash: record.hash,
    parts: record.parts,
    state,
    ...(identity === undefined && record.spec.component.secrets.length > 0
      ? { secrets: hasSecrets(paths, record.instance) ? ("present" as const) : ("removed" as const) }
      : {}),
    ref: identity === undefined ? "" : String(identity.pid),
    name: record.instance,
    ports,
  };
}

async function stateOf(record: InstanceRecord, alive: boolean, signal: AbortSignal): Promise<ObservedState> {
  const { process: run, restarts } = record;
  if (alive) {
    const startedAt = run.status === "running" ? run.startedAt : 0;
    return { status: "running", startedAt, health: await healthOf(record, signal), restarts };
  }
  if (run.status === "created") return { status: "created" };
  const exit = run.status === "exited" ? run : { exitCode: UNKNOWN_EXIT_CODE, finishedAt: run.startedAt };
  return {
    status: "exited",
    exitCode: exit.exitCode,
    oomKilled: false,
    finishedAt: exit.finishedAt,
    restarts,
  };
}

async function healthOf(
  record: InstanceRecord,
  signal: AbortSignal,
): Promise<"none" | "starting" | "healthy" | "unhealthy"> {
  const { healthcheck } = record.spec.component;
  if (healthcheck?.disable) return "none";
  if (healthcheck?.test !== undefined) {
    return (record.process.status === "running" && record.process.health) || "starting";
  }
  return probeHealth(record.ports.health, signal);
}

/** Asks `/health`: refused is still starting, an answer other than 2xx or none in time is unhealthy. */
export function probeHealth(port: number, signal: AbortSignal): Promise<"starting" | "healthy" | "unhealthy"> {
  return new Promise((resolve) => {
    const limit = withDeadline(signal, HEALTH_TIMEOUT_MS);
    const request = get({ host: "127.0.0.1", port, path: "/health", agent: false, signal: limit }, (response) => {
      response.resume();
      const status = response.statusCode ?? 0;
      resolve(status >= 200 && status < 300 ? "healthy" : "unhealthy");
    });
    request.on("error", (error: NodeJS.ErrnoException) =>
      resolve(error.code === "ECONNREFUSED" ? "starting" : "unhealthy"),
    );
  });
}

/** Leaders of instances that have no record: left by a crash in the middle of their removal or creation. */
function strays(marked: readonly MarkedProcess[], known: ReadonlySet<string>): readonly ObservedResource[] {
  return marked.flatMap((process) => {
    const { instance, pid, group } = process;
    if (instance === undefined || known.has(instance) || pid !== group) return [];
    const match = /^(.+)-(\d+)$/.exec(instance);
    if (match === null) return [];
    const identity = instanceIdentity("component", match[1] as string, Number(match[2]));
    return [{ ...identity, hash: "", parts: {}, state: IS_THERE, ref: String(pid), name: instance, ports: [] }];
  });
}

/** The process that leads the group of an instance, among those with the marker. */
export function leaderOf(instance: string, marked: readonly MarkedProcess[]): MarkedProcess | undefined {
  return marked.find((process) => process.instance === instance && process.pid === process.group);
}
