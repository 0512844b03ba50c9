import type { Edit } from "./edits.ts";

/** One thing that is done to the running pipeline, as plain data: a run is its first file, and these. */
export type Step = Action & {
  /** Whether the next step waits until events flow again; else it comes at once, on top of this one. */
  readonly settle: boolean;
};

export type Action =
  | { readonly kind: "edit"; readonly edit: Edit; readonly how: EditedHow; readonly afterMs: number }
  /** SIGKILL of a component's instance, or of the control plane with whatever supervises on this driver. */
  | { readonly kind: "kill"; readonly instance: string }
  | { readonly kind: "freeze"; readonly instance: string; readonly ms: number }
  | { readonly kind: "fill-disk"; readonly disk: Disk; readonly ms: number }
  | { readonly kind: "restart-engine"; readonly signal: "SIGTERM" | "SIGKILL" }
  | { readonly kind: "stop" | "start" | "restart"; readonly target: string }
  | { readonly kind: "scale"; readonly id: string; readonly replicas: number }
  /** `up` and `down` at once; `up` a second time after both. */
  | { readonly kind: "up-against-down"; readonly afterMs: number }
  /** An attached `up` that is interrupted; `up` a second time after it. */
  | { readonly kind: "interrupt"; readonly afterMs: number };

/**
 * How `up -d` is called after an edit: once; killed in the middle and called again; twice at once; or attached,
 * interrupted, and called again.
 */
export type EditedHow = "once" | "killed" | "twice" | "interrupted";

/** What can be filled: the file system under some sinks, or the one under buffers, records and the control plane's store. */
export type Disk = "small" | "state";

export const CONTROL_PLANE = "control-plane";

/** What a step is counted as: edits by what they change, faults by what they hit. */
export function kindOf(step: Action): string {
  switch (step.kind) {
    case "edit":
      return `edit ${step.edit.op}`;
    case "kill":
      return step.instance === CONTROL_PLANE ? "kill control plane" : "kill component";
    case "fill-disk":
      return `full disk: ${step.disk}`;
    case "restart-engine":
      return `engine: ${step.signal}`;
    default:
      return step.kind;
  }
}

export function describe({ kind, ...rest }: Step): string {
  return `${kind} ${JSON.stringify(rest)}`;
}
