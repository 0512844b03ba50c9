import type { DesiredResource, ObservedResource } from "../drivers/driver.ts";
import { howItExited } from "../foundation/how-it-exited.ts";

/** What has to be done to make one observed resource the desired one, and why. */
export type Verdict =
  | { readonly action: "keep"; readonly note?: string }
  | { readonly action: "start" | "restart" | "replace"; readonly cause: string };

export interface AssessOptions {
  /** Why it is to be replaced even when nothing about it changed; undefined: it is not. */
  readonly force: string | undefined;
  /** It ended by itself with its work done, rather than because somebody stopped it. */
  readonly completed: boolean;
}

/**
 * Compares one resource that exists with what it should be. Volumes are never replaced: what they hold would be gone.
 */
export function assess(desired: DesiredResource, observed: ObservedResource, options: AssessOptions): Verdict {
  const same = observed.hash === desired.hash;
  if (desired.kind === "volume") {
    if (same) return { action: "keep" };
    return {
      action: "keep",
      note: `${observed.name} differs from the file (${changedParts(desired, observed)}); kept because it holds data`,
    };
  }
  if (observed.hash === "") return { action: "replace", cause: "incomplete" };
  if (!same) return { action: "replace", cause: changeCause(desired, observed) };
  if (options.force !== undefined && desired.kind !== "network") return { action: "replace", cause: options.force };
  const { state } = observed;
  switch (state.status) {
    case "created":
      return { action: "replace", cause: "incomplete" };
    case "running":
      // Nobody watches over it as it does over the components; they go on meanwhile.
      if (desired.kind === "control-plane" && state.health === "unhealthy") {
        return { action: "restart", cause: "not responding" };
      }
      return { action: "keep" };
    case "restarting":
      return { action: "keep" };
    case "paused":
      return { action: "restart", cause: "paused" };
    case "exited":
      if (state.exitCode === 0 && options.completed) return { action: "keep", note: `${observed.name} has completed` };
      return { action: "start", cause: exitCause(state) };
  }
}

/** The names of the parts that differ, such as `image, with`. */
export function changedParts(
  desired: Pick<DesiredResource, "parts">,
  observed: Pick<ObservedResource, "parts">,
): string {
  const changed = partsThat("changed", desired, observed);
  return changed.length === 0 ? "configuration" : changed.join(", ");
}

/** Why what has another hash is replaced. What nobody can compare counts as changed, and is not said to be. */
function changeCause(desired: DesiredResource, observed: ObservedResource): string {
  const unknown = partsThat("unknown", desired, observed);
  const cannot = unknown.map((name) => `${name} cannot be compared: the key of their hashes was lost`);
  const changed = partsThat("changed", desired, observed).length > 0 || unknown.length === 0;
  return [...(changed ? [`${changedParts(desired, observed)} changed`] : []), ...cannot].join("; ");
}

function partsThat(
  outcome: "changed" | "unknown",
  { parts: desired }: Pick<DesiredResource, "parts">,
  { parts: observed }: Pick<ObservedResource, "parts">,
): readonly string[] {
  const names = [...new Set([...Object.keys(desired), ...Object.keys(observed)])].sort();
  return names.filter((name) => compare(desired[name], observed[name]) === outcome);
}

function compare(desired: string | undefined, observed: string | undefined): "same" | "changed" | "unknown" {
  if (desired === observed) return "same";
  const [one, two] = [keyOf(desired), keyOf(observed)];
  return one !== undefined && two !== undefined && one !== two ? "unknown" : "changed";
}

/** The key that a part was made with; undefined for one that was made without. */
function keyOf(part: string | undefined): string | undefined {
  const [key, digest] = part?.split(":") ?? [];
  return digest === undefined ? undefined : key;
}

function exitCause(state: { readonly exitCode: number; readonly oomKilled: boolean }): string {
  if (state.oomKilled) return "ran out of memory";
  if (state.exitCode === 0) return "was stopped";
  return howItExited(state.exitCode);
}
