import type { ObservedState, ResourceKey } from "./driver.ts";

/** What names one instance of a component or service in every driver. */
export interface InstanceIdentity {
  readonly key: ResourceKey;
  readonly kind: "component" | "service";
  readonly owner: string;
  /** From 1. */
  readonly index: number;
}

/** The id of instance `index` (from 1) of a component or service. */
export function instanceId(owner: string, index: number): string {
  return `${owner}-${index}`;
}

/** What names instance `index` (from 1) of a component or service. */
export function instanceIdentity(kind: InstanceIdentity["kind"], owner: string, index: number): InstanceIdentity {
  return { key: `${kind}/${instanceId(owner, index)}`, kind, owner, index };
}

/** The same of all instances of a component. */
export function instancesOf(component: {
  readonly id: string;
  readonly replicas: number;
}): readonly InstanceIdentity[] {
  return Array.from({ length: component.replicas }, (_, at) => instanceIdentity("component", component.id, at + 1));
}

/** What names the control plane of a pipeline in every driver. */
export const CONTROL_PLANE = {
  key: "control-plane/1",
  kind: "control-plane",
  owner: "control-plane",
  index: 1,
} as const;

/** What names what the control plane of a pipeline reaches the engine through. */
export const ENGINE_ACCESS = {
  key: "engine-access/1",
  kind: "engine-access",
  owner: "control-plane",
  index: 1,
} as const;

/** The state of what is there and does not run anything, such as a volume. */
export const IS_THERE = {
  status: "running",
  startedAt: 0,
  health: "none",
  restarts: 0,
} as const satisfies ObservedState;
