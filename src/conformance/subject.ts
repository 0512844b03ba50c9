import type { ComponentType } from "../pipeline/pipeline.ts";
import type { Launch } from "./launch.ts";
import type { EventMessage } from "./messages.ts";

/** The component under test and how patient the checks are with it. */
export interface Subject {
  readonly launch: Launch;
  /** `with:` of the component, as JSON. */
  readonly config: string;
  /** Events that a processor or sink is fed with; ids are replaced. */
  readonly samples: readonly EventMessage[];
  /** What its author says that it cannot process; undefined: nothing is said. */
  readonly failing?: EventMessage;
  /** Everything speaks in the clear, and nothing is looked at that is about identity. */
  readonly insecure?: boolean;
  readonly timing: Timing;
}

/** Milliseconds. */
export interface Timing {
  /** From the launch to the registration. */
  readonly startMs: number;
  /** For one reaction. */
  readonly stepMs: number;
  /** How long nothing must happen, where nothing may happen. */
  readonly quietMs: number;
  /** How long nothing may come, in the first run, until the component is taken to have given all that it gives. */
  readonly settleMs: number;
  /** Interval of heartbeats that the control plane asks for. */
  readonly heartbeatMs: number;
  /** Grace period of a stop, as the component is told. */
  readonly graceMs: number;
  /** What a machine may take on top of the grace period to end a program. */
  readonly slackMs: number;
  /** Interval of the pings that a server has to permit. */
  readonly pingMs: number;
  /** How long a working certificate is good for, where it is to be renewed; renewed it is to be after a third of that. */
  readonly certificateMs: number;
}

export const defaultTiming: Timing = {
  startMs: 15_000,
  stepMs: 10_000,
  quietMs: 400,
  settleMs: 2_000,
  heartbeatMs: 250,
  graceMs: 3_000,
  slackMs: 3_000,
  pingMs: 5_000,
  certificateMs: 9_000,
};

/** What a first run taught about the component. */
export interface Facts {
  readonly type: ComponentType;
  /** Samples that made the component give something, each with how many events it gave; empty for a sink. */
  readonly productive: readonly ProductiveSample[];
  /** How many events a source gave by itself in the first run, up to 20. */
  readonly produced: number;
  /** Whether a source ended by itself in the first run. */
  readonly finite: boolean;
  /** An event that it cannot process, if one is known. */
  readonly failing?: EventMessage;
  /** What it declared that it supports. */
  readonly features: readonly string[];
}

export interface ProductiveSample {
  readonly event: EventMessage;
  readonly outputs: number;
}
