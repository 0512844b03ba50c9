import { everyFeature } from "../protocol/features.ts";
import type { ComponentSpec, PipelineSpec } from "../protocol/records.ts";
import type { IncarnationReference, RegistrationRequest } from "../protocol/registry-codec.ts";

/** A component for tests: what is not given is the default of a pipeline file. */
export function componentSpec(
  given: Partial<ComponentSpec> & Pick<ComponentSpec, "id" | "type">,
  ...from: string[]
): ComponentSpec {
  return {
    replicas: 1,
    inputs: from.map((id) => ({ from: id, types: [] })),
    consumes: [],
    produces: [],
    onError: { action: "fail", to: "", retries: 0, backoffMs: 0 },
    partitionBy: "",
    maxRestarts: 5,
    ...given,
  };
}

/** source → processor → sink, named after their type. */
export function linearPipeline(name = "p"): PipelineSpec {
  return {
    name,
    driver: "process",
    components: [
      componentSpec({ id: "source", type: "source" }),
      componentSpec({ id: "processor", type: "processor" }, "source"),
      componentSpec({ id: "sink", type: "sink" }, "processor"),
    ],
  };
}

export function incarnation(componentId: string, number = 1, run = "1", pipeline = "p"): IncarnationReference {
  const instanceId = `${componentId}-${number}`;
  return { pipeline, componentId, instanceId, incarnation: `${instanceId}/${run}` };
}

/** A registration that fits `linearPipeline`; the type is the component's id unless given. */
export function registration(who: IncarnationReference, given: Partial<RegistrationRequest> = {}): RegistrationRequest {
  return {
    ...who,
    type: who.componentId as RegistrationRequest["type"],
    address: who.componentId === "sink" ? "" : `${who.instanceId}:50051`,
    healthEndpoint: "",
    metadata: {},
    consumes: [],
    produces: [],
    features: everyFeature,
    ...given,
  };
}
