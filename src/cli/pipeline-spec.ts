import type { Component, Pipeline, RestartPolicy } from "../pipeline/pipeline.ts";
import type { ComponentSpec, PipelineSpec } from "../protocol/records.ts";

/** Restarts in a row that a component gets when the file does not say. */
const DEFAULT_MAX_RESTARTS = 5;

/** What the control plane is told of a pipeline: its topology and policies, nothing about how it is run. */
export function pipelineSpec(pipeline: Pipeline, driver: string): PipelineSpec {
  return { name: pipeline.name, driver, components: pipeline.components.map(componentSpec) };
}

function componentSpec(component: Component): ComponentSpec {
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
  };
}

function maxRestarts(policy: RestartPolicy): number {
  if (policy.name === "no") return 0;
  return policy.maxRetries ?? DEFAULT_MAX_RESTARTS;
}
