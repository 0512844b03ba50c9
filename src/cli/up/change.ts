import type { Deployment, DesiredResource, Driver, ObservedResource, ProgressSink } from "../../drivers/driver.ts";
import type { Pipeline } from "../../pipeline/pipeline.ts";
import type { Plan } from "../../planner/plan.ts";
import type { KeptPipeline, PipelineRecord } from "../../protocol/records.ts";
import type { ControlPlaneAccess } from "../control-plane-access.ts";

/** What a pipeline is to become, ready to be compared with what runs. */
export interface Wanted {
  readonly driver: Driver;
  readonly deployment: Deployment;
  /** What the driver has prepared for it. */
  readonly desired: readonly DesiredResource[];
  /** Absolute path of the file that stood for `.env`, where one did. */
  readonly envFile: string | undefined;
  /** Says of an error where in the pipeline file its cause is written, where that is known. */
  readonly placed: (error: unknown) => unknown;
}

export interface ChangeOptions {
  readonly dryRun: boolean;
  /** Replace what has not changed, too: everything, or these components and services. */
  readonly forceRecreate: boolean | ReadonlySet<string>;
  /** Plan for these components alone. */
  readonly only?: ReadonlySet<string>;
  /** With `only`: what there is of them stays as it is, and only their number changes. */
  readonly keepExisting?: boolean;
  /** What is being done, for whoever else wants to change the pipeline; default `flowctl up`. */
  readonly command?: string;
  /** Give up what removed components hold and cannot hand on. */
  readonly discard?: boolean;
  /** What is wanted is what was healthy before, and what is there besides never worked. */
  readonly goingBack?: boolean;
}

/** What is about to be done to make a pipeline run. */
export interface PreparedUp {
  readonly pipeline: Pipeline;
  readonly driver: Driver;
  readonly plan: Plan;
  readonly observed: readonly ObservedResource[];
  /** As the control plane saw it before; undefined when none answered. */
  readonly before: PipelineRecord | undefined;
  /** What the control plane had kept before; undefined when it was not asked or did not say. */
  readonly keptBefore: KeptPipeline | undefined;
  /**
   * Makes the plan the control plane's desired state and carries it out, then lets other commands change the pipeline.
   * Rejects with `control/operation-taken-over` when another one has taken over meanwhile. Call it once.
   */
  execute(progress: ProgressSink, signal: AbortSignal): Promise<void>;
  /** Why the control plane would refuse the plan, as the error that carrying it out would end with; only of a dry run. */
  readonly refusal?: unknown;
  /** What `execute` has come to so far. */
  readonly done: Done;
  /** Lets other commands change the pipeline; for what is not executed. */
  release(): void;
  readonly access: ControlPlaneAccess;
}

export interface Done {
  /** Something was changed: the control plane was told, or a step has begun. */
  changed: boolean;
  /** What the control plane was asked to keep, once everything was carried out: where nothing else is said, nobody knows whether it does. */
  given?: Uint8Array | undefined;
  /** What it keeps of this change. */
  kept?: Uint8Array | undefined;
  /** When the run before completed, in Unix milliseconds, where it did. */
  completedBefore?: number | undefined;
}
