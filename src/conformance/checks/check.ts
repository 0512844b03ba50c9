import type { ComponentType } from "../../pipeline/pipeline.ts";
import type { Feature } from "../../protocol/features.ts";
import type { Bench } from "../bench.ts";

/** One obligation and how it is looked at. */
export interface Check {
  /** See CheckResult. */
  readonly id: string;
  readonly title: string;
  /** What the author does when it is broken. */
  readonly fix: string;
  /** The types of component that have this obligation. */
  readonly types: readonly ComponentType[];
  /** Checks without which this one says nothing; when one of them failed, this one is not applicable. */
  readonly needs?: readonly string[];
  /** What the component has to declare at registration for the obligation to concern it. */
  readonly feature?: Feature;
  /** Checks of one scene are run one after the other on the same run of the component: none of them is to disturb the next. */
  readonly scene?: Scene;
  /** Mostly waits: it runs beside the others, in addition to as many as may run at the same time. */
  readonly idle?: boolean;
  /** About certificates: left out where everything speaks in the clear. */
  readonly identity?: boolean;
  /**
   * Resolves when the obligation is kept, throws Broken or NotApplicable otherwise. Left out for a standing
   * obligation: one that is watched in every run of the component, and broken by a single violation.
   */
  run?(bench: Bench): Promise<void>;
}

/**
 * `registered`: only looks. `taking`: what is fed is acknowledged in the end. `giving`: takes what a component gives, of which a
 * source with an end has not enough for several checks. `refusing`: nothing is acknowledged below. `joining`: starts it, and starts it again.
 * `deceived`: others answer in the place of the control plane. `renewing`: certificates are good for a short while.
 */
export type Scene = "registered" | "taking" | "giving" | "refusing" | "joining" | "deceived" | "renewing";

export const everyType: readonly ComponentType[] = ["source", "processor", "sink"];
/** Components that serve EventStream. */
export const producers: readonly ComponentType[] = ["source", "processor"];
/** Components that subscribe. */
export const consumers: readonly ComponentType[] = ["processor", "sink"];
export const sources: readonly ComponentType[] = ["source"];
export const processors: readonly ComponentType[] = ["processor"];
