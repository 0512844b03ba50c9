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

/** What is lacking to run a component, or a service, on one driver; undefined when nothing is. */
interface Needs {
  readonly component: (component: Runs) => string | undefined;
  readonly service: (service: Pick<Service, "image" | "build">) => string | undefined;
}

const onDocker = ({ image, build }: Pick<Runs, "image" | "build">): string | undefined =>
  image === undefined && build === undefined ? "needs `uses`, `image` or `build` to run on docker" : undefined;

const onKubernetes = ({ image, build }: Pick<Runs, "image" | "build">): string | undefined => {
  if (image !== undefined) return undefined;
  return build === undefined
    ? "needs `uses` or `image` to run on kubernetes"
    : "needs `image` to run on kubernetes: the image name under which the cluster pulls the build";
};

/** By driver, in the order in which they are tried. */
const NEEDS: Readonly<Record<DriverName, Needs>> = {
  docker: { component: onDocker, service: onDocker },
  process: {
    component: ({ command = [] }) =>
      command.length === 0 ? "needs `uses` or `command` to run as a process" : undefined,
    service: () => "is a service container, which needs docker or kubernetes",
  },
  kubernetes: { component: onKubernetes, service: onKubernetes },
};

/** For each driver, in the order in which they are tried. Pure: whether an engine answers is not its business. */
export function runnableOn(pipeline: {
  readonly components: readonly Runs[];
  readonly services: readonly Pick<Service, "id" | "image" | "build">[];
}): readonly Runnable[] {
  return (Object.keys(NEEDS) as DriverName[]).map((driver) => {
    const needs = NEEDS[driver];
    const lacking = [
      ...pipeline.components.flatMap((component) =>
        component.uses === undefined ? toLacking(component.id, needs.component(component)) : [],
      ),
      ...pipeline.services.flatMap((service) => toLacking(service.id, needs.service(service))),
    ];
    return { driver, ok: lacking.length === 0, lacking };
  });
}

/** What is lacking for one driver. */
export function lackingOn(driver: DriverName, pipeline: Pick<Pipeline, "components" | "services">): readonly Lacking[] {
  return runnableOn(pipeline).find((runnable) => runnable.driver === driver)?.lacking ?? [];
}

function toLacking(component: string, reason: string | undefined): readonly Lacking[] {
  return reason === undefined ? [] : [{ component, reason }];
}
