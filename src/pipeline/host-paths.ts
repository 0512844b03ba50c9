import type { Component, HostPath } from "./pipeline.ts";

/** The files and folders of the host that instance `index` (from 1) of a component is given. */
export function hostPathsOf({ hostPaths }: Pick<Component, "hostPaths">, index: number): readonly HostPath[] {
  return hostPaths.map((one) => ({ ...one, path: one.path.replaceAll("{instance}", String(index)) }));
}

/** The same of all its instances, each once. */
export function allHostPaths(component: Pick<Component, "hostPaths" | "replicas">): readonly HostPath[] {
  const all = Array.from({ length: component.replicas }, (_, at) => hostPathsOf(component, at + 1)).flat();
  return [...new Map(all.map((one) => [one.path, one])).values()];
}
