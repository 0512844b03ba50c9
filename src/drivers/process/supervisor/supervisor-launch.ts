import { type ChildProcess, spawn } from "node:child_process";
import { closeSync, mkdirSync, openSync } from "node:fs";
import { join } from "node:path";
import type { Clock } from "../../../foundation/clock.ts";
import { FlowctlError, hasCode, messageOf } from "../../../foundation/errors.ts";
import type { IssuedCertificate } from "../../../identity/authority.ts";
import { fingerprint } from "../../fingerprint.ts";
import { CONTROL_PLANE } from "../../identity.ts";
import type { PipelinePaths } from "../home/paths.ts";
import { inheritedEnvironment } from "../instance/inherited-environment.ts";
import { isAlive, markedProcesses, RUN_ID_VARIABLE, signalProcess } from "../instance/process-identity.ts";
import { waitUntil } from "../instance/termination.ts";
import { spoolName } from "../logs/log-format.ts";
import { pipelineLogs } from "../logs.ts";
import type { Greet } from "./greeting.ts";
import { leaveTicket } from "./start-ticket.ts";
import { isUnusable, NO_SUPERVISOR, type SupervisorClient } from "./supervisor-client.ts";
import { readSupervisorRecord, type SupervisorSpec } from "./supervisor-record.ts";
import type { SupervisorHello } from "./supervisor-server.ts";

/** What a supervisor is started with; handed over in `FLOWCTL_SUPERVISOR` as JSON. */
export interface SupervisorLaunch {
  readonly folder: string;
  readonly pipeline: string;
  /** Folder that `pipeline`'s folder is under, as `FLOWCTL_HOME`. */
  readonly home: string;
  readonly hash: string;
  readonly parts: Readonly<Record<string, string>>;
  readonly spec: SupervisorSpec;
  /** See leaveTicket. */
  readonly ticket: string;
}

/** What a supervisor is to be, whoever starts it. */
type SupervisorIdentity = Pick<SupervisorLaunch, "hash" | "parts" | "spec">;

export interface LaunchOptions {
  readonly paths: PipelinePaths;
  readonly home: string;
  /** argv. */
  readonly program: readonly string[];
  readonly environment: Readonly<Record<string, string | undefined>>;
  readonly clock: Clock;
  readonly signal: AbortSignal;
  readonly supervisors: SupervisorClient;
  readonly greet: Greet;
  /** What the supervisor that is to be started makes certificates with; undefined: what there is, or what it makes. */
  readonly authority?: IssuedCertificate | undefined;
}

/** The supervisor ends with this exit code when another one, or a command, holds the lock. */
export const LOCKED_EXIT_CODE = 75;
/** The supervisor ends with this exit code when the pipeline was taken away while it was being started. */
export const TAKEN_AWAY_EXIT_CODE = 76;

const START_DEADLINE_MS = 60_000;

/**
 * Makes sure that a supervisor answers, and says who it is. Starts one, with `desired` or as the last one was, when
 * none does; of several that are started at once only one stays. One that hangs is replaced; what it ran goes on.
 */
export async function ensureSupervisor(
  desired: SupervisorIdentity | undefined,
  options: LaunchOptions,
): Promise<SupervisorHello> {
  const { paths, clock, signal } = options;
  let deadline = clock.elapsed() + START_DEADLINE_MS;
  let started: StartedSupervisor | undefined;
  for (;;) {
    try {
      const answer = await options.greet(paths, signal);
      // Another one was quicker; ours would only find the lock taken.
      if (started !== undefined && started.pid !== answer.pid) started.kill();
      return answer;
    } catch (error) {
      if (isUnusable(error)) {
        await endSupervisor(options);
        // Finding out that it hangs may have taken long: whoever takes its place has all the time.
        if (started === undefined) deadline = clock.elapsed() + START_DEADLINE_MS;
      } else if (!hasCode(error, NO_SUPERVISOR)) throw error;
    }
    const end = started?.end();
    if (end !== undefined && end !== "again") throw await startFailure(options, end.exitCode);
    if (clock.elapsed() > deadline) throw await startFailure(options, undefined);
    if (end === "again") await clock.sleep(100, signal);
    if (started === undefined || end === "again") started = await startSupervisor(desired, options);
    await clock.sleep(25, signal);
  }
}

/**
 * Kills every process of the supervisor's that can be found, by its record and by the marker, until a look finds none:
 * one whose supervisor was killed may just be taking its place.
 */
export async function endSupervisor(options: Pick<LaunchOptions, "paths" | "clock" | "signal">): Promise<void> {
  const { paths } = options;
  const record = await readSupervisorRecord(paths);
  const kill = (): boolean => {
    const found = [
      ...(record === undefined ? [] : [record.identity]),
      ...markedProcesses(paths.runId).filter(({ instance }) => instance === undefined),
    ].filter((identity) => identity.pid !== process.pid && isAlive(identity));
    for (const { pid } of found) signalProcess(pid, "SIGKILL");
    return found.length === 0;
  };
  if (await waitUntil(kill, 10_000, options)) return;
  throw new FlowctlError({
    code: "process/cannot-end",
    kind: "unavailable",
    message: `Cannot stop the supervisor of ${paths.pipeline}`,
    fix: "Run flowctl as the user who started the pipeline",
  });
}

interface StartedSupervisor {
  readonly pid: number;
  kill(): void;
  /** Undefined while it runs; `again` when another one or a command was in the way, and may not be any more. */
  end(): "again" | { readonly exitCode: number } | undefined;
}

async function startSupervisor(
  desired: SupervisorIdentity | undefined,
  options: LaunchOptions,
): Promise<StartedSupervisor> {
  const { paths, home, program, environment } = options;
  const chosen = desired ?? (await readSupervisorRecord(paths)) ?? defaultSupervisor();
  const [command, ...rest] = program as [string, ...string[]];
  mkdirSync(paths.logs, { recursive: true, mode: 0o700 });
  const launch: SupervisorLaunch = {
    ticket: leaveTicket(paths),
    folder: paths.folder,
    pipeline: paths.pipeline,
    home,
    hash: chosen.hash,
    parts: chosen.parts,
    spec: chosen.spec,
  };
  const stdout = openSync(join(paths.logs, spoolName(CONTROL_PLANE.owner, "stdout")), "a", 0o600);
  const stderr = openSync(join(paths.logs, spoolName(CONTROL_PLANE.owner, "stderr")), "a", 0o600);
  try {
    const child = spawn(command, rest, {
      cwd: paths.folder,
      detached: true,
      stdio: ["ignore", stdout, stderr],
      env: {
        ...inheritedEnvironment(environment, { ...launch.spec, everything: launch.spec.inheritsEverything === true }),
        FLOWCTL_SUPERVISOR: JSON.stringify(launch),
        [RUN_ID_VARIABLE]: paths.runId,
      },
    });
    if (child.pid === undefined) throw await new Promise((resolve) => child.once("error", resolve));
    child.unref();
    return { pid: child.pid, end: () => endOf(child), kill: () => child.kill("SIGKILL") };
  } catch (error) {
    throw FlowctlError.wrap(error, {
      code: "process/supervisor-not-started",
      kind: "unavailable",
      message: `Cannot start the supervisor (${program.join(" ")})`,
      fix: "Reinstall flowctl, or check the process and memory limits of the system",
    });
  } finally {
    closeSync(stdout);
    closeSync(stderr);
  }
}

function endOf(child: ChildProcess): "again" | { readonly exitCode: number } | undefined {
  // Another command, that found it while it was half-made, killed it.
  if (child.signalCode !== null || child.exitCode === LOCKED_EXIT_CODE) return "again";
  if (child.exitCode === TAKEN_AWAY_EXIT_CODE) return "again";
  return child.exitCode === null ? undefined : { exitCode: child.exitCode };
}

/** For a pipeline whose supervisor left no record: it is replaced by the next up, whose hash differs. */
function defaultSupervisor(): SupervisorIdentity {
  const spec: SupervisorSpec = { kind: "control-plane", persistence: true, logLevel: "info", withheld: [] };
  return { ...fingerprint({ made: "from nothing" }), spec };
}

async function startFailure(options: LaunchOptions, exitCode: number | undefined): Promise<FlowctlError> {
  const { pipeline } = options.paths;
  const what = exitCode === undefined ? "is not responding" : `exited with code ${exitCode}`;
  const { said, code, fix } = await lastWords(options);
  return new FlowctlError({
    code: code ?? "process/supervisor-failed",
    kind: code === undefined ? "unavailable" : "failed",
    message: `The supervisor of ${pipeline} ${what}${said}`,
    fix: fix ?? `Check its output with \`flowctl logs -p ${pipeline} control-plane\``,
  });
}

interface LastWords {
  /** As the end of a sentence. */
  readonly said: string;
  /** Of the error that it ended with, where it has said so. */
  readonly code?: string;
  readonly fix?: string;
}

async function lastWords(options: LaunchOptions): Promise<LastWords> {
  const reader = { folder: options.paths.logs, clock: options.clock };
  const select = { select: [CONTROL_PLANE.owner], follow: false, tail: 1 };
  try {
    let last: LastWords = { said: "" };
    for await (const line of pipelineLogs(reader, select, options.signal)) last = spoken(line.text);
    return last;
  } catch (error) {
    return { said: ` (cannot read its log: ${messageOf(error)})` };
  }
}

/** What a log line says, without what only programs read; any other line as it is. */
function spoken(line: string): LastWords {
  const shown = (text: string): string => `: ${text.slice(0, 400)}`;
  try {
    const { msg, err, code, fix } = JSON.parse(line) as {
      readonly msg?: unknown;
      readonly err?: { readonly message?: unknown };
      readonly code?: unknown;
      readonly fix?: unknown;
    };
    if (typeof msg !== "string") return { said: shown(line) };
    return {
      said: shown(typeof err?.message === "string" ? `${msg}: ${err.message}` : msg),
      ...(typeof code === "string" ? { code } : {}),
      ...(typeof fix === "string" ? { fix } : {}),
    };
  } catch {
    return { said: shown(line) };
  }
}
