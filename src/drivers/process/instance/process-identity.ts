import { execFileSync } from "node:child_process";
import { readdirSync, readFileSync, readlinkSync } from "node:fs";

/** One process for all time: pids are used again, a pid together with the moment of its birth is not. */
export interface ProcessIdentity {
  readonly pid: number;
  /** Opaque. Empty when the process was gone before it could be read; such an identity is never alive. */
  readonly birth: string;
}

/** A living process that carries the marker of a pipeline in its environment. */
export interface MarkedProcess extends ProcessIdentity {
  /** Process group; equal to the pid for what flowctl spawned itself. */
  readonly group: number;
  /** `FLOWCTL_INSTANCE_ID`, where it has one: the supervisor has none. */
  readonly instance: string | undefined;
  /** `FLOWCTL_CONTROL_PLANE`, where it has one: the address that it was told. */
  readonly controlPlane: string | undefined;
  /** It waits for the end of the supervisor (see startWatcher). */
  readonly isWatcher: boolean;
}

/** The environment variable of a process that waits for the end of the supervisor. */
export const WATCHER_VARIABLE = "FLOWCTL_WATCHER";

/** The environment variable that marks every process of a pipeline, and what they inherit it to. */
export const RUN_ID_VARIABLE = "FLOWCTL_RUN_ID";

interface ProcessRow {
  readonly pid: number;
  readonly group: number;
  readonly birth: string;
}

/** The identity of a living process; undefined when there is none of that pid. A zombie counts as gone. */
export function identify(pid: number): ProcessIdentity | undefined {
  const row = process.platform === "linux" ? readProc(pid, bootId()) : psRows(["-p", String(pid)])[0];
  return row === undefined ? undefined : { pid, birth: row.birth };
}

/** Whether exactly this process still runs. */
export function isAlive(identity: ProcessIdentity): boolean {
  return identity.birth !== "" && identify(identity.pid)?.birth === identity.birth;
}

/**
 * Whether a living process has begun to exit: it may still hold files and ports for a moment, so it is alive, but its
 * program runs no more. Always false where it cannot be told: for processes of other users, and off Linux.
 */
export function hasBegunToExit(pid: number): boolean {
  try {
    // Its memory goes first. Then it has no environment, or, as newer kernels say, there is no such process.
    return readFileSync(`/proc/${pid}/environ`, "utf8") === "";
  } catch (error) {
    return process.platform === "linux" && (error as NodeJS.ErrnoException).code === "ESRCH";
  }
}

/** Whether a signal or a debugger has stopped a process. Always false off Linux, where it is not looked at. */
export function isStopped(pid: number): boolean {
  const stat = process.platform === "linux" ? readText(`/proc/${pid}/stat`) : undefined;
  return stat !== undefined && /^[Tt] /.test(stat.slice(stat.lastIndexOf(")") + 2));
}

/**
 * Every living process, other than the calling one, whose environment had `FLOWCTL_RUN_ID=<runId>` when its program
 * began, and has not begun to exit. Processes of other users cannot be seen.
 */
export function markedProcesses(runId: string): readonly MarkedProcess[] {
  return process.platform === "linux" ? markedByProc(runId) : markedByPs(runId);
}

/** Living members of the process group that `leader` leads or led, itself included, whatever their environment. */
export function groupMembers(leader: ProcessIdentity): readonly ProcessIdentity[] {
  const rows = allRows().filter((row) => row.group === leader.pid);
  const head = rows.find(({ pid }) => pid === leader.pid);
  return head !== undefined && head.birth !== leader.birth ? [] : rows;
}

/** Sends a signal; a process or group that is gone already is no error. Returns whether there was one. */
export function signalProcess(pid: number, signal: NodeJS.Signals): boolean {
  try {
    process.kill(pid, signal);
    return true;
  } catch (error) {
    const code = (error as NodeJS.ErrnoException).code;
    if (code === "ESRCH" || code === "EPERM") return false;
    throw error;
  }
}

function allRows(): readonly ProcessRow[] {
  if (process.platform !== "linux") return psRows(["-A"]);
  const boot = bootId();
  return procPids().flatMap((pid) => readProc(pid, boot) ?? []);
}

function procPids(): readonly number[] {
  return readdirSync("/proc").map(Number).filter(Number.isInteger);
}

function markedByProc(runId: string): readonly MarkedProcess[] {
  const boot = bootId();
  const marker = `${RUN_ID_VARIABLE}=${runId}`;
  const found: MarkedProcess[] = [];
  for (const pid of procPids()) {
    if (pid === process.pid) continue;
    const variables = environmentOf(pid)?.split("\0");
    if (variables === undefined || !variables.includes(marker)) continue;
    const row = readProc(pid, boot);
    if (row !== undefined) found.push({ ...row, ...toldOf(variables) });
  }
  return found;
}

/** How often, and how long in between in milliseconds, a process is looked at that seems to have no environment. */
const EXEC_LOOKS = 20;
const EXEC_PAUSE_MS = 1;

/**
 * The environment of a process. One that is just becoming another program has none for a moment, in which it must not be
 * overlooked: it is looked at again.
 */
function environmentOf(pid: number): string | undefined {
  for (let look = 1; ; look++) {
    const text = readText(`/proc/${pid}/environ`);
    // Threads of the kernel have none, and no program.
    if (text !== "" || look === EXEC_LOOKS || !hasProgram(pid)) return text;
    Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, EXEC_PAUSE_MS);
  }
}

function hasProgram(pid: number): boolean {
  try {
    return readlinkSync(`/proc/${pid}/exe`) !== "";
  } catch {
    return false;
  }
}

function toldOf(variables: readonly string[]): Pick<MarkedProcess, "instance" | "controlPlane" | "isWatcher"> {
  const told = (name: string): string | undefined =>
    variables.find((variable) => variable.startsWith(`${name}=`))?.slice(name.length + 1);
  const instance = told("FLOWCTL_INSTANCE_ID");
  const isWatcher = instance === undefined && told(WATCHER_VARIABLE) !== undefined;
  return { instance, controlPlane: told("FLOWCTL_CONTROL_PLANE"), isWatcher };
}

function readProc(pid: number, boot: string): ProcessRow | undefined {
  const stat = readText(`/proc/${pid}/stat`);
  if (stat === undefined) return undefined;
  // The name, second, is in parentheses and may hold anything, parentheses too.
  const fields = stat.slice(stat.lastIndexOf(")") + 2).split(" ");
  const [state, , group] = fields;
  if (state === "X" || (state === "Z" && !hasThreads(pid))) return undefined;
  return { pid, group: Number(group), birth: `${boot}:${fields[19]}` };
}

/** The first thread of a killed process can be a zombie while others still hold its files and ports. */
function hasThreads(pid: number): boolean {
  try {
    return readdirSync(`/proc/${pid}/task`).length > 1;
  } catch {
    return false;
  }
}

/** Start times count from the boot: without this a pid of before a reboot could look alive. */
function bootId(): string {
  return readText("/proc/sys/kernel/random/boot_id")?.trim() ?? "boot";
}

function readText(path: string): string | undefined {
  try {
    return readFileSync(path, "utf8");
  } catch {
    return undefined;
  }
}

function markedByPs(runId: string): readonly MarkedProcess[] {
  const marker = `${RUN_ID_VARIABLE}=${runId}`;
  return psRows(["-A", "-E", "-ww"])
    .filter((row) => row.pid !== process.pid && row.command.split(" ").includes(marker))
    .map(({ pid, group, birth, command }) => ({ pid, group, birth, ...toldOf(command.split(" ")) }));
}

function psRows(selection: readonly string[]): readonly (ProcessRow & { readonly command: string })[] {
  let output: string;
  try {
    output = execFileSync("ps", [...selection, "-o", "pid=,pgid=,state=,lstart=,command="], {
      encoding: "utf8",
      maxBuffer: 64 << 20,
      stdio: ["ignore", "pipe", "ignore"],
    });
  } catch {
    // ps exits with 1 when the selected process does not exist.
    return [];
  }
  return output.split("\n").flatMap((line) => {
    const match = /^\s*(\d+)\s+(\d+)\s+(\S+)\s+(\S+\s+\S+\s+\d+\s+\S+\s+\d+)\s+(.*)$/.exec(line);
    if (match === null || match[3]?.startsWith("Z")) return [];
    return [{ pid: Number(match[1]), group: Number(match[2]), birth: match[4] ?? "", command: match[5] ?? "" }];
  });
}
