import type { Component, ComponentType, Pipeline, Service } from "../pipeline.ts";
import type { KeyPath } from "../problem.ts";
import type { ComponentFile, ServiceFile } from "../schema/pipeline-file.ts";

/** A component with where it is written, whether its profile is active or not. */
export interface ResolvedComponent {
  readonly path: KeyPath;
  readonly file: ComponentFile;
  readonly active: boolean;
  readonly component: Component;
}

export interface ResolvedService {
  readonly path: KeyPath;
  readonly file: ServiceFile;
  readonly active: boolean;
  readonly service: Service;
}

/** The outcome of resolving: the pipeline, and everything that was declared. */
export interface Resolved {
  readonly pipeline: Pipeline;
  readonly components: readonly ResolvedComponent[];
  readonly services: readonly ResolvedService[];
}

const sections = { source: "sources", processor: "processors", sink: "sinks" } as const;

/** The key of the file under which components of a type stand. */
export function sectionOf<T extends ComponentType>(type: T): (typeof sections)[T] {
  return sections[type];
}
