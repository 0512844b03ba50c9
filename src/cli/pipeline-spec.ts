import type { DesiredResource } from "../drivers/driver.ts";
import type { Component, Pipeline, RestartPolicy } from "../pipeline/pipeline.ts";
import { instanceIdOf } from "../planner/plan.ts";
import type { ComponentSpec, PipelineSpec } from "../protocol/records.ts";

/** Restarts in a row that a component gets when the file does not say. */
const DEFAULT_MAX_RESTARTS = 5;

/**
 * What the control plane is told of a pipeline: its topology and policies, and which instances it is to have, whose ids are
 * those of the driver's `resources`.
 */
export function pipelineSpec(
  pipeline: Pipeline,
  driver: string,
  resources: readonly Pick<DesiredResource, "key" | "kind" | "owner">[] = [],
): PipelineSpec {
  const components = pipeline.components.map((component) => {
    const own = resources.filter(({ kind, owner }) => kind === "component" && owner === component.id);
    return componentSpec(component, own.length === component.replicas ? own.map(instanceIdOf) : []);
  });
  return { name: pipeline.name, driver, components };
}

function componentSpec(component: Component, instanceIds: readonly string[]): ComponentSpec {
  const { id, type, replicas, consumes, produces, onError, partitionBy, restart, healthcheck } = component;
  return {
    id,
    type,
    replicas,
    consumes,
    produces,
    inputs: component.inputs.map(({ from, types, buffer }) => ({
      from,
      types,
      ...(buffer === undefined
        ? {}
        : {
            buffer: {
              type: buffer.type,
              maxEvents: buffer.maxEvents ?? 0,
              maxBytes: buffer.maxBytes ?? 0,
              whenFull: buffer.whenFull,
            },
          }),
    })),
    onError: { action: onError.action, to: onError.to ?? "", retries: onError.retries, backoffMs: onError.backoffMs },
    partitionBy: partitionBy ?? "",
    maxRestarts: maxRestarts(restart),
    ...(healthcheck?.startPeriodMs ? { startDeadlineMs: healthcheck.startPeriodMs } : {}),
    ...(instanceIds.length === 0 ? {} : { instanceIds }),
    ...(component.limits.memoryBytes === undefined ? {} : { memoryLimitBytes: component.limits.memoryBytes }),
  };
}

function maxRestarts(policy: RestartPolicy): number {
  if (policy.name === "no") return 0;
  return policy.maxRetries ?? DEFAULT_MAX_RESTARTS;
}
