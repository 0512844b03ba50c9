import { FlowctlError } from "../foundation/errors.ts";
import type { ComponentSpec, PipelineSpec } from "../protocol/records.ts";
import { edgesOf, type SpecEdge } from "./topology.ts";

/** Event types that a component takes and gives; empty means any. */
export interface DeclaredTypes {
  readonly consumes: readonly string[];
  readonly produces: readonly string[];
}

/** What the instances of a component declared when they registered, or the pipeline file where none has. */
export type DeclaredTypesOf = (component: ComponentSpec) => DeclaredTypes;

/**
 * Throws `registry/types-cannot-meet` when on an edge of component `id` nothing that the upper end gives is anything
 * that the lower end takes, so that no event could ever pass. Dead letters carry any type.
 */
export function checkEventTypes(spec: PipelineSpec, id: string, declaredTypesOf: DeclaredTypesOf): void {
  for (const edge of edgesOf(spec)) {
    if (edge.deadLetters || (edge.from.id !== id && edge.to.id !== id)) continue;
    checkEdge(edge, declaredTypesOf(edge.from).produces, declaredTypesOf(edge.to).consumes);
  }
}

/** What those who have registered say of a component, else what its spec says. Who is gone is not asked. */
export function declaredTypes(
  component: ComponentSpec,
  said: readonly (DeclaredTypes & { live?: boolean })[],
): DeclaredTypes {
  const heard = said.filter((instance) => instance.live !== false);
  const consumes = heard.flatMap((instance) => instance.consumes);
  const produces = heard.flatMap((instance) => instance.produces);
  return {
    consumes: consumes.length > 0 ? consumes : component.consumes,
    produces: produces.length > 0 ? produces : component.produces,
  };
}

function checkEdge(edge: SpecEdge, produces: readonly string[], consumes: readonly string[]): void {
  const [from, to] = [edge.from.id, edge.to.id];
  if (!meet(edge.types, consumes)) {
    throw cannotMeet(
      `${to} consumes ${list(consumes)}, but its input from ${from} passes only ${list(edge.types)}`,
      to,
    );
  }
  if (!meet(produces, edge.types)) {
    throw cannotMeet(`${from} produces ${list(produces)}, but the input of ${to} passes only ${list(edge.types)}`, to);
  }
  if (!meet(produces, consumes)) {
    throw cannotMeet(`${from} produces ${list(produces)}, but ${to} consumes only ${list(consumes)}`, to);
  }
}

function meet(some: readonly string[], others: readonly string[]): boolean {
  return some.length === 0 || others.length === 0 || some.some((type) => others.includes(type));
}

function list(types: readonly string[]): string {
  return types.join(", ");
}

function cannotMeet(message: string, path: string): FlowctlError {
  return new FlowctlError({
    code: "registry/types-cannot-meet",
    kind: "invalid",
    message,
    fix: "Fix the types of the input, or connect components with matching event types.",
    path: `${path}.inputs`,
  });
}
