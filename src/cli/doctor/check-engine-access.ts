import type { ObservedResource } from "../../drivers/driver.ts";
import { type Finding, problem } from "./finding.ts";

/** What a pipeline's engine access is called where people read of it. */
export const ENGINE_ACCESS_NAME = "engine-access";

/** That the control plane of a pipeline does not reach the engine. */
export interface EngineAccessLoss {
  readonly state: "missing" | "created" | "restarting" | "paused" | "exited";
  /** What follows, for people. */
  readonly reason: string;
}

const REASON =
  "without it the control plane cannot reach the Docker engine: unresponsive components are not restarted, and those that exit are noticed late";

/**
 * Whether a control plane runs that reaches the engine through an engine access, and that does not run; undefined: all is well. One that
 * a command has not made yet is missing, too. Pure.
 */
export function lostEngineAccess(observed: readonly ObservedResource[]): EngineAccessLoss | undefined {
  const needs = observed.some(({ needsEngineAccess, state }) => needsEngineAccess && state.status === "running");
  const status = observed.find(({ kind }) => kind === "engine-access")?.state.status ?? "missing";
  return needs && status !== "running" ? { state: status, reason: REASON } : undefined;
}

/** What brings it back; `up` is how the pipeline is made to run as its file says. */
export function engineAccessFix({ state }: EngineAccessLoss, up: string, pipeline: string): string {
  if (state === "restarting") return `If this lasts, see \`flowctl logs -p ${pipeline} control-plane\``;
  return `${state === "missing" ? "Create" : "Start"} it again with ${up}`;
}

/** The same as a finding; `up` is the command that makes the pipeline run as its file says. */
export function checkEngineAccess(
  observed: readonly ObservedResource[],
  up: string,
  pipeline: string,
): readonly Finding[] {
  const loss = lostEngineAccess(observed);
  if (loss === undefined) return [];
  const detail = `is ${loss.state}: ${loss.reason}`;
  return [problem(ENGINE_ACCESS_NAME, detail, engineAccessFix(loss, `\`${up}\``, pipeline))];
}
