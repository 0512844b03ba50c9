import type { ComponentType } from "../pipeline/pipeline.ts";
import type { BufferMessage, DownstreamMessage, OnErrorMessage, TopologyMessage } from "./messages.ts";
import type { TestUpstream } from "./test-upstream.ts";

/** A group below, as the topology has it. */
export interface GroupOptions {
  readonly id: string;
  readonly types?: readonly string[];
  readonly deadLetters?: boolean;
  readonly partitionBy?: string;
  /** 1 when left out. */
  readonly instances?: number;
  readonly buffer?: BufferMessage;
  readonly draining?: boolean;
  readonly takesOver?: readonly string[];
  readonly mark?: number;
}

export interface TopologyOptions {
  readonly groups?: readonly GroupOptions[] | undefined;
  /** Instances above that have completed. */
  readonly completed?: readonly TestUpstream[];
  /** Whether the upstream component has completed as a whole. */
  readonly allCompleted?: boolean;
  /** How many instances it has when all are up; 1 when left out. */
  readonly desired?: number;
  /** Components above, by id, whose input the pipeline file no longer has. */
  readonly draining?: readonly string[];
  readonly leaving?: boolean;
  readonly onError?: OnErrorMessage;
}

/** What the control plane says to a component of that type when the given instances are above. */
export function topologyOf(
  type: ComponentType,
  above: readonly TestUpstream[],
  options: TopologyOptions,
): TopologyMessage {
  const upstreams = [...new Set(["above", ...above.map(({ componentId }) => componentId)])].map((component) => ({
    componentId: component,
    types: [],
    instances: above
      .filter((upstream) => upstream.componentId === component)
      .map((upstream) => ({
        instanceId: upstream.instanceId,
        address: upstream.address,
        completed: options.completed?.includes(upstream) ?? false,
      })),
    completed: options.allCompleted ?? false,
    desiredInstances: options.desired ?? 1,
    draining: options.draining?.includes(component) ?? false,
  }));
  const groups = (options.groups ?? [{ id: "below" }]).filter(
    (group: GroupOptions) => type !== "sink" || group.deadLetters,
  );
  return {
    upstreams: type === "source" ? [] : upstreams,
    downstreams: groups.map(downstreamOf),
    leaving: options.leaving ?? false,
    ...(options.onError === undefined ? {} : { onError: options.onError }),
  };
}

function downstreamOf(group: GroupOptions): DownstreamMessage {
  return {
    componentId: group.id,
    types: [...(group.types ?? [])],
    partitionBy: group.partitionBy ?? "",
    desiredInstances: group.instances ?? 1,
    deadLetters: group.deadLetters ?? false,
    draining: group.draining ?? false,
    takesOver: [...(group.takesOver ?? [])],
    mark: group.mark ?? 0,
    ...(group.buffer === undefined ? {} : { buffer: group.buffer }),
  };
}
