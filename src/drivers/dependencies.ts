import type { Component, ContainerSettings, Pipeline } from "../pipeline/pipeline.ts";
import type { Prerequisite } from "./driver.ts";
import { instanceIdentity, instancesOf } from "./identity.ts";

const CONDITIONS = {
  service_started: "started",
  service_healthy: "healthy",
  service_completed_successfully: "completed",
} as const;

/**
 * What `depends_on` of a component or service has to wait for: every instance of each component, the one of each service.
 * Where the driver does not see the health of a component, to be started counts as healthy: the control plane judges it.
 */
export function dependencies(
  { components, services }: Pick<Pipeline, "components" | "services">,
  { dependsOn }: Pick<ContainerSettings, "dependsOn">,
  showsHealth: (component: Component) => boolean = () => true,
): readonly Prerequisite[] {
  return Object.entries(dependsOn).flatMap(([id, dependency]): readonly Prerequisite[] => {
    const condition = CONDITIONS[dependency.condition];
    const component = components.find((other) => other.id === id);
    if (component === undefined) {
      const isService = services.some((other) => other.id === id);
      return isService ? [{ key: instanceIdentity("service", id, 1).key, condition }] : [];
    }
    const wanted = condition === "healthy" && !showsHealth(component) ? "started" : condition;
    return instancesOf(component).map(({ key }) => ({ key, condition: wanted }));
  });
}
