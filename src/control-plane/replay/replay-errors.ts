import { FlowctlError } from "../../foundation/errors.ts";

export function cannotReplay(componentId: string, pipeline: string, isSource: boolean): FlowctlError {
  return new FlowctlError({
    code: "control/cannot-replay",
    kind: "not-found",
    message: isSource
      ? `The events failed in the source ${componentId}: nothing can be sent to a source`
      : `The events failed in the component ${componentId}, which ${pipeline} does not have any more`,
    fix: "Read their file with the source `dead-letters` in a pipeline of its own, or choose others with --component",
  });
}

export function componentNotRunning(componentId: string, pipeline: string): FlowctlError {
  return new FlowctlError({
    code: "control/component-not-running",
    kind: "conflict",
    message: `${componentId}, the target of the replay, is not running`,
    fix: `Start it with \`flowctl start -p ${pipeline} ${componentId}\``,
  });
}

export function replayUnderWay(componentId: string): FlowctlError {
  return new FlowctlError({
    code: "control/replay-under-way",
    kind: "conflict",
    message: `Another replay, to ${componentId}, is running`,
    fix: "Retry when it has finished",
  });
}

/** The component ended before it had acknowledged everything. */
export function replayFailed(
  componentId: string,
  how: "completed" | "failed" | "was stopped",
  reason: string,
): FlowctlError {
  return new FlowctlError({
    code: "control/replay-failed",
    kind: "failed",
    message: `${componentId} ${how} before it had acknowledged every event${reason === "" ? "" : `: ${reason}`}`,
    fix: `See \`flowctl logs ${componentId}\`; acknowledged events are marked, and the rest can be replayed again`,
  });
}

export function notAReplay(what: string): FlowctlError {
  return new FlowctlError({ code: "control/invalid-replay", kind: "invalid", message: what });
}
