import { FlowctlError } from "../foundation/errors.ts";
import type { Feature } from "../protocol/features.ts";
import type { ComponentSpec, PipelineSpec } from "../protocol/records.ts";
import { edgesOf, type SpecEdge } from "./topology.ts";

/** An instance and what it said that it supports. */
interface Declared {
  readonly componentId: string;
  readonly instanceId: string;
  readonly features: readonly string[];
}

/** What the pipeline asks of a component beyond the basics of the contract, and where it says so. */
interface Demand {
  readonly feature: Feature;
  /** In words: "the input of ledger asks for partition_by". */
  readonly what: string;
  /** What the author takes out of the pipeline file when the component cannot be changed. */
  readonly remove: string;
  readonly path: string;
}

/**
 * Throws `registry/unsupported` when the pipeline asks more of a component than the instance supports: it would be ignored
 * without a word, and events would go where they must not.
 */
export function checkFeatures(spec: PipelineSpec, declared: Declared): void {
  const demand = demandsOn(spec, declared.componentId).find(({ feature }) => !declared.features.includes(feature));
  if (demand !== undefined) throw unsupported(declared, demand);
}

/** The same for every live instance of a pipeline that is about to be changed. */
export function checkRunningFeatures(
  spec: PipelineSpec,
  instances: readonly {
    readonly componentId: string;
    readonly id: string;
    readonly live: boolean;
    readonly features?: readonly string[];
  }[],
): void {
  for (const { componentId, id, live, features } of instances) {
    if (live && features !== undefined) checkFeatures(spec, { componentId, instanceId: id, features });
  }
}

function demandsOn(spec: PipelineSpec, componentId: string): readonly Demand[] {
  const own = spec.components.filter(({ id }) => id === componentId).flatMap(demandsOfErrors);
  return [
    ...own,
    ...edgesOf(spec)
      .filter(({ from }) => from.id === componentId)
      .flatMap(demandsOfEdge),
  ];
}

function demandsOfErrors({ id, onError }: ComponentSpec): readonly Demand[] {
  if (onError.action === "fail") return [];
  const feature = onError.action === "dead_letter" ? "dead_letters" : "on_error";
  const what = `its on_error has the action ${onError.action}`;
  return [{ feature, what, remove: `on_error of ${id}`, path: `${id}.on_error` }];
}

function demandsOfEdge({ to, types, buffer }: SpecEdge): readonly Demand[] {
  const demands: Demand[] = [];
  const input = (key: string) => ({
    what: `the input of ${to.id} has ${key}`,
    remove: `${key} of ${to.id}`,
    path: `${to.id}.inputs`,
  });
  if (types.length > 0) demands.push({ feature: "types", ...input("types") });
  if (buffer !== undefined) {
    const feature = buffer.type === "disk" ? "disk_buffer" : "memory_buffer";
    demands.push({ feature, ...input("buffer") });
  }
  // A single instance has every key.
  if (to.partitionBy !== "" && to.replicas > 1) {
    const what = `${to.id} has partition_by and ${to.replicas} replicas`;
    const path = `${to.id}.partition_by`;
    demands.push({ feature: "partition_by", what, remove: `partition_by of ${to.id}`, path });
  }
  return demands;
}

function unsupported({ componentId, instanceId }: Declared, { feature, what, remove, path }: Demand): FlowctlError {
  return new FlowctlError({
    code: "registry/unsupported",
    kind: "invalid",
    message: `${instanceId} does not support ${feature}, which is required: ${what}`,
    fix: `Remove ${remove} from the pipeline file, or run a version of ${componentId} that declares ${feature} in RegisterComponent.features.`,
    path,
  });
}
