import type { BufferSpec } from "../../../src/protocol/records.ts";
import type { Role } from "./parts/settings.ts";

/** One component of a run: its role, and whose output it takes. */
export interface PartPlan {
  readonly id: string;
  readonly role: Role;
  readonly from: readonly string[];
  /** Event types that it asks for; left out: all. */
  readonly types?: readonly string[];
  /** Left out: one. */
  readonly replicas?: number;
  /** Of each of its inputs. */
  readonly buffer?: BufferSpec;
}

export type Plan = readonly PartPlan[];

const source: PartPlan = { id: "source", role: "source", from: [] };

/** Source → processor → sink. */
export function linear(role: "filter" | "map", replicas = 1): Plan {
  return [source, { id: "middle", role, from: ["source"], replicas }, { id: "sink", role: "sink", from: ["middle"] }];
}

/** The same plan with a buffer on each edge. */
export function buffered(plan: Plan, buffer: BufferSpec): Plan {
  return plan.map((part) => (part.from.length === 0 ? part : { ...part, buffer }));
}

/** Source → sink. */
export const DIRECT: Plan = [source, { id: "sink", role: "sink", from: ["source"] }];

/** Source → so many filters in a row → sink. */
export function chain(filters: number): Plan {
  const steps = Array.from({ length: filters }, (_, index): PartPlan => {
    return { id: `step${index + 1}`, role: "filter", from: [index === 0 ? "source" : `step${index}`] };
  });
  return [source, ...steps, { id: "sink", role: "sink", from: [`step${filters}`] }];
}

/** One source, and so many sinks that all take everything, or each the types that are given for it. */
export function fanOut(sinks: number, typesOf?: (sink: number) => readonly string[]): Plan {
  const parts = Array.from({ length: sinks }, (_, index): PartPlan => {
    const part: PartPlan = { id: `sink${index + 1}`, role: "sink", from: ["source"] };
    return typesOf === undefined ? part : { ...part, types: typesOf(index + 1) };
  });
  return [source, ...parts];
}

/** A source at full speed, a filter, and a sink that never finishes what it began to write. */
export const STALLED: Plan = [
  source,
  { id: "middle", role: "filter", from: ["source"] },
  { id: "sink", role: "stalled", from: ["middle"] },
];
