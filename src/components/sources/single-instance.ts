import { FlowctlError, type InstanceInfo } from "../../sdk/index.ts";

/** Throws `components/single-instance` when there is more than one instance of a source that cannot share its work. */
export function requireSingleInstance(name: string, instance: InstanceInfo): void {
  if (instance.replicas === 1) return;
  throw new FlowctlError({
    code: "components/single-instance",
    kind: "invalid",
    message: `${instance.componentId} has ${instance.replicas} replicas, and each ${name} source would read everything`,
    fix: "use one replica; replicate the processors behind it",
  });
}
