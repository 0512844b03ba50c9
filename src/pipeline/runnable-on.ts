import type { Component, DriverName, Pipeline, Service } from "./pipeline.ts";

/** Whether a driver can run everything in a pipeline, and if not, what is lacking. */
export interface Runnable {
  readonly driver: DriverName;
  readonly ok: boolean;
  readonly lacking: readonly Lacking[];
}

export interface Lacking {
  /** Id of the component or service. */
  readonly component: string;
  /** What it lacks for that driver, to follow "`id` " in a sentence. */
  readonly reason: string;
}

type Runs = Pick<Component, "id" | "uses" | "image" | "build" | "command">;

/** For each driver, in the order in which they are tried. Pure: whether an engine answers is not its business. */
export function runnableOn(pipeline: {
  readonly components: readonly Runs[];
  readonly services: readonly Pick<Service, "id" | "image" | "build">[];
}): readonly Runnable[] {
  const drivers: readonly DriverName[] = ["docker", "process", "kubernetes"];
  return drivers.map((driver) => {
    const lacking = [
      ...pipeline.components.flatMap((component) => toLacking(component.id, lackOf(driver, component))),
      ...pipeline.services.flatMap((service) => toLacking(service.id, lackOfService(driver, service))),
    ];
    return { driver, ok: lacking.length === 0, lacking };
  });
}

/** What is lacking for one driver. */
export function lackingOn(driver: DriverName, pipeline: Pick<Pipeline, "components" | "services">): readonly Lacking[] {
  return runnableOn(pipeline).find((runnable) => runnable.driver === driver)?.lacking ?? [];
}

function lackOf(driver: DriverName, component: Runs): string | undefined {
  if (component.uses !== undefined) return undefined;
  if (driver === "process") {
    return component.command === undefined || component.command.length === 0
      ? "needs `uses` or `command` to run as a process"
      : undefined;
  }
  return lackOfImage(driver, component);
}

function lackOfService(driver: DriverName, service: Pick<Service, "id" | "image" | "build">): string | undefined {
  if (driver === "process") return "is a service container, which needs docker or kubernetes";
  return lackOfImage(driver, service);
}

function lackOfImage(driver: DriverName, runs: Pick<Runs, "image" | "build">): string | undefined {
  if (runs.image !== undefined) return undefined;
  if (driver === "docker")
    return runs.build === undefined ? "needs `uses`, `image` or `build` to run on docker" : undefined;
  return runs.build === undefined
    ? "needs `uses` or `image` to run on kubernetes"
    : "needs `image` to run on kubernetes: the image name under which the cluster pulls the build";
}

function toLacking(component: string, reason: string | undefined): readonly Lacking[] {
  return reason === undefined ? [] : [{ component, reason }];
}
