import { UseWindow } from "../process-use.ts";
import type { Programs } from "./programs.ts";
import { type PartsOptions, startParts } from "./start-parts.ts";

export interface RunOptions extends PartsOptions {
  /** Milliseconds after which a run that has not ended fails. Left out: two minutes. */
  readonly patienceMs?: number;
}

export interface AtSink {
  readonly perSecond: number;
  /** Milliseconds from the source, where the run has a rate. */
  readonly p50: number;
  readonly p99: number;
}

export interface RunResult {
  /** At each sink, by its id. */
  readonly sinks: Readonly<Record<string, AtSink>>;
  /** Peak resident memory in MB and processor time in seconds over the whole life, by instance. */
  readonly used: Readonly<Record<string, Used>>;
  /**
   * Processors in use while the sinks measured, by instance and for `control-plane`; 1 is one processor. Empty where the
   * processes are not ours to look at.
   */
  readonly busy: Readonly<Record<string, number>>;
}

export interface Used {
  readonly memory: number;
  readonly seconds: number;
}

const PATIENCE_MS = 120_000;

/** Runs the programs of a plan until every sink has reported and all have ended. */
export async function runParts(programs: Programs, options: RunOptions): Promise<RunResult> {
  const sinks: Record<string, AtSink> = {};
  const used: Record<string, Used> = {};
  const wanted = options.plan.filter(({ role }) => role === "sink").length;
  const pids = new Map<string, number>();
  const window = new UseWindow(pids);
  let reported: () => void = () => undefined;
  let fellShort: (error: Error) => void = () => undefined;
  const allReported = new Promise<void>((resolve, reject) => {
    reported = resolve;
    fellShort = reject;
  });
  // Nobody waits for it before everything has started.
  allReported.catch(() => undefined);
  const parts = await startParts(programs, options, pids, (instance, component, message, value) => {
    if (message === "BEGUN") window.open();
    if (message === "USED") used[instance] = value as Used;
    if (message === "SHORT") {
      const { seen } = value as { readonly seen: number };
      fellShort(new Error(`${instance} ended after ${seen} of ${options.count} events`));
    }
    if (message !== "RESULT") return;
    sinks[component] = value as AtSink;
    if (Object.keys(sinks).length < wanted) return;
    window.close();
    reported();
  });
  try {
    const finish = async (): Promise<void> => {
      const allEnded = parts.crew.ended("control-plane").then(() => {
        fellShort(new Error(`all ended, and ${wanted - Object.keys(sinks).length} sinks have not reported`));
      });
      await Promise.race([allReported, allEnded]);
      await allReported;
      // Finite pipelines end by themselves; the baselines do not know when to.
      if (options.program !== "flowctl") parts.crew.signal("SIGTERM");
      await parts.crew.ended("control-plane");
    };
    await parts.crew.during(finish(), "the run", options.patienceMs ?? PATIENCE_MS);
  } finally {
    await parts.dispose();
  }
  return { sinks, used, busy: window.busy() };
}

/** Events per second of the run: those of the slowest sink. */
export function slowestSink({ sinks }: RunResult): number {
  return Math.min(...Object.values(sinks).map(({ perSecond }) => perSecond));
}

/** MB of the largest program of the run at its peak. */
export function largestProcess({ used }: RunResult): number {
  return Math.max(...Object.values(used).map(({ memory }) => memory));
}

/** Microseconds of processor time that the programs together spent on an event, the control plane included. */
export function processorPerEvent(result: RunResult): number {
  const processors = Object.values(result.busy).reduce((total, share) => total + share, 0);
  return (processors / slowestSink(result)) * 1e6;
}
