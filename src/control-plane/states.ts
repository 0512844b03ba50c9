import { FlowctlError } from "../foundation/errors.ts";
import type { ComponentState, PipelineState } from "../protocol/records.ts";

/** The state of one instance. `since` is Unix milliseconds; `reason` is for people and may be empty. */
export type InstanceState =
  /** Registered, and not known to work yet; or known from before the control plane was started. */
  | { readonly name: "starting"; readonly since: number; readonly reason: string }
  /** Its heartbeats come and its /health answers. */
  | { readonly name: "healthy"; readonly since: number }
  /** It works, and says itself that it does not work well. */
  | { readonly name: "degraded"; readonly since: number; readonly reason: string }
  /** It exited, its heartbeats stay away, or its /health fails. */
  | { readonly name: "unhealthy"; readonly since: number; readonly reason: string }
  /** Told to stop; also when it has stopped and nobody started it again. */
  | { readonly name: "stopping"; readonly since: number; readonly reason: string }
  /** Its data has ended and everything is acknowledged. */
  | { readonly name: "completed"; readonly since: number }
  /** It was given up. */
  | { readonly name: "failed"; readonly since: number; readonly reason: string };

type Transitions<State extends string> = Readonly<Record<State, readonly State[]>>;

/**
 * Every legal move of an instance. `starting` can follow everything: a program can be started again at any time. What
 * has completed or failed changes by nothing else.
 */
export const instanceTransitions: Transitions<ComponentState> = {
  starting: ["healthy", "degraded", "unhealthy", "stopping", "completed", "failed"],
  healthy: ["starting", "degraded", "unhealthy", "stopping", "completed", "failed"],
  degraded: ["starting", "healthy", "unhealthy", "stopping", "completed", "failed"],
  unhealthy: ["starting", "healthy", "degraded", "stopping", "completed", "failed"],
  stopping: ["starting", "completed", "failed"],
  completed: ["starting"],
  failed: ["starting"],
};

/** Every legal move of a pipeline. What has completed goes on only by being started again. */
export const pipelineTransitions: Transitions<PipelineState> = {
  starting: ["running", "degraded", "stopping", "completed", "failed"],
  running: ["starting", "degraded", "stopping", "completed", "failed"],
  degraded: ["starting", "running", "stopping", "completed", "failed"],
  stopping: ["starting", "running", "degraded", "completed", "failed"],
  completed: ["starting"],
  failed: ["starting"],
};

/**
 * The only way from one instance state to another. A state of the same name takes the new reason and keeps its age.
 * Throws `control-plane/illegal-transition` naming both states for a move that is not in the table.
 */
export function moveInstance(subject: string, from: InstanceState, to: InstanceState): InstanceState {
  if (from.name === to.name) return { ...to, since: from.since };
  check(instanceTransitions, subject, from.name, to.name);
  return to;
}

/** The only way from one pipeline state to another; same rules. */
export function movePipeline(subject: string, from: PipelineState, to: PipelineState): PipelineState {
  if (from !== to) check(pipelineTransitions, subject, from, to);
  return to;
}

/** The reason of a state, empty for one that needs none. */
export function reasonOf(state: InstanceState): string {
  return "reason" in state ? state.reason : "";
}

function check<State extends string>(table: Transitions<State>, subject: string, from: State, to: State): void {
  if (table[from].includes(to)) return;
  throw new FlowctlError({
    code: "control-plane/illegal-transition",
    kind: "internal",
    message: `${subject} cannot go from ${from} to ${to}`,
  });
}
