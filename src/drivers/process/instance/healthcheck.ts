import { execFile } from "node:child_process";
import type { Clock } from "../../../foundation/clock.ts";
import type { Component, Healthcheck } from "../../../pipeline/pipeline.ts";
import type { Engine } from "./engine.ts";
import type { InstanceRecord } from "./instance-record.ts";
import { isAlive, RUN_ID_VARIABLE } from "./process-identity.ts";

export interface HealthcheckOptions {
  readonly engine: Pick<Engine, "running" | "setHealth">;
  readonly clock: Clock;
  /** What a check's program inherits: the same as the component's. */
  inherited(component: Component): Readonly<Record<string, string>>;
  /** Marker of the pipeline, so that a check that hangs is found with everything else. */
  readonly runId: string;
}

interface Checking {
  /** Start of the process that is checked: a new process begins anew. */
  readonly startedAt: number;
  /** The same moment as the clock counts durations. */
  readonly begunAt: number;
  failures: number;
  lastAt: number;
  running: boolean;
}

const LOOK_AROUND_MS = 500;
const DEFAULT_INTERVAL_MS = 30_000;
const DEFAULT_START_INTERVAL_MS = 5_000;
const DEFAULT_TIMEOUT_MS = 30_000;
const DEFAULT_RETRIES = 3;

/**
 * Runs the `healthcheck.test` of instances that have one, as Compose does: every interval, with a timeout, unhealthy
 * after `retries` failures in a row, failures within the start period not counted. Runs until it is called to stop.
 */
export function startHealthchecks(options: HealthcheckOptions): () => void {
  const { engine, clock } = options;
  const checks = new Map<string, Checking>();
  const check = async (record: InstanceRecord, healthcheck: Healthcheck, state: Checking): Promise<void> => {
    state.running = true;
    state.lastAt = clock.elapsed();
    const passed = await runTest(record, healthcheck, options);
    state.running = false;
    state.lastAt = clock.elapsed();
    const starting = clock.elapsed() - state.begunAt < (healthcheck.startPeriodMs ?? 0);
    if (passed) state.failures = 0;
    else if (!starting || healthOf(record) === "healthy") state.failures++;
    if (passed) engine.setHealth(record.instance, "healthy");
    else if (state.failures >= (healthcheck.retries ?? DEFAULT_RETRIES)) engine.setHealth(record.instance, "unhealthy");
  };
  const lookAround = (): void => {
    const records = engine.running();
    for (const instance of checks.keys()) {
      if (!records.some((record) => record.instance === instance)) checks.delete(instance);
    }
    for (const record of records) {
      const { healthcheck } = record.spec.component;
      if (healthcheck?.test === undefined || healthcheck.disable || record.process.status !== "running") continue;
      const { startedAt } = record.process;
      let state = checks.get(record.instance);
      if (state?.startedAt !== startedAt) {
        const begunAt = clock.elapsed() - Math.max(0, clock.now() - startedAt);
        state = { startedAt, begunAt, failures: 0, lastAt: begunAt, running: false };
        checks.set(record.instance, state);
      }
      if (
        !state.running &&
        clock.elapsed() - state.lastAt >= intervalOf(record, healthcheck, clock.elapsed() - state.begunAt)
      ) {
        void check(record, healthcheck, state);
      }
    }
  };
  const timer = setInterval(lookAround, LOOK_AROUND_MS);
  timer.unref();
  return () => clearInterval(timer);
}

/** @param ageMs Since when the instance runs. */
function intervalOf(record: InstanceRecord, healthcheck: Healthcheck, ageMs: number): number {
  const interval = healthcheck.intervalMs ?? DEFAULT_INTERVAL_MS;
  if (record.process.status !== "running" || healthOf(record) === "healthy") return interval;
  const starting = ageMs < (healthcheck.startPeriodMs ?? 0);
  return starting ? Math.min(interval, healthcheck.startIntervalMs ?? DEFAULT_START_INTERVAL_MS) : interval;
}

function healthOf(record: InstanceRecord): "starting" | "healthy" | "unhealthy" {
  return (record.process.status === "running" && record.process.health) || "starting";
}

function runTest(record: InstanceRecord, healthcheck: Healthcheck, options: HealthcheckOptions): Promise<boolean> {
  const [kind, ...rest] = healthcheck.test ?? [];
  const argv = kind === "CMD-SHELL" ? ["/bin/sh", "-c", ...rest] : rest;
  const [program, ...args] = argv;
  if (program === undefined) return Promise.resolve(true);
  const { component } = record.spec;
  return new Promise((resolve) => {
    execFile(
      program,
      args,
      {
        cwd: record.spec.directory,
        env: {
          ...options.inherited(component),
          ...component.environment,
          FLOWCTL_INSTANCE_ID: record.instance,
          FLOWCTL_HEALTH_PORT: String(record.ports.health),
          FLOWCTL_LISTEN: `127.0.0.1:${record.ports.listen}`,
          [RUN_ID_VARIABLE]: options.runId,
        },
        timeout: healthcheck.timeoutMs ?? DEFAULT_TIMEOUT_MS,
        killSignal: "SIGKILL",
        maxBuffer: 1 << 20,
      },
      (error) => resolve(error === null && record.process.status === "running" && isAlive(record.process.identity)),
    );
  });
}
