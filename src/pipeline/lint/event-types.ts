import { closest, listed } from "../../foundation/did-you-mean.ts";
import type { Component } from "../pipeline.ts";
import type { KeyPath } from "../problem.ts";
import type { ResolvedComponent } from "../resolve/resolved.ts";
import { reportAt } from "../resolve/scope.ts";
import type { LintContext } from "./lint-context.ts";
import { TypeFlow } from "./type-flow.ts";

/** On every edge at least one event type can pass, as far as the types of both ends are known. */
export function lintEventTypes(context: LintContext): void {
  const flow = new TypeFlow(context);
  const components = new Map(context.resolved.components.map(({ component }) => [component.id, component]));
  for (const item of context.resolved.components) {
    lintProduces(context, item, flow);
    item.component.inputs.forEach((_input, index) => {
      lintInput(context, item, index, { flow, components });
    });
  }
}

/** What the file says that a built-in gives is what its settings make it give. */
function lintProduces({ scope }: LintContext, { component, path, file }: ResolvedComponent, flow: TypeFlow): void {
  const settled = flow.settledFor(component);
  if (settled.length === 0) return;
  file.produces?.forEach((type, index) => {
    if (settled.includes(type)) return;
    reportAt(scope, [...path, "produces", index], {
      code: "pipeline/wrong-produces",
      message: `\`${component.id}\` produces ${listed(settled)} with these settings, not ${type}`,
      fix: `Remove \`produces\`, or set \`type: ${type}\` under \`with\`.`,
    });
  });
}

/** What is known of the whole file. */
interface Known {
  readonly flow: TypeFlow;
  readonly components: ReadonlyMap<string, Component>;
}

function lintInput({ scope }: LintContext, item: ResolvedComponent, index: number, { flow, components }: Known): void {
  const { component, path } = item;
  const input = component.inputs[index];
  if (input === undefined) return;
  const at: KeyPath = [...path, "inputs", index];
  const taken = component.consumes;
  if (!canMeet(input.types, taken)) {
    reportAt(scope, [...at, "types"], {
      code: "pipeline/types-cannot-meet",
      message: `\`${component.id}\` consumes ${listed(taken)}, but this input passes only ${listed(input.types)}`,
      fix: "Change `types` or `consumes`.",
    });
    return;
  }
  const given = flow.givenBy(input.from);
  const wanted = input.types.length > 0 ? input.types : taken;
  if (!canMeet(given, wanted)) {
    reportAt(scope, input.types.length > 0 ? [...at, "types"] : at, {
      code: "pipeline/types-cannot-meet",
      message: `\`${component.id}\` consumes ${listed(wanted)}, but \`${input.from}\` produces only ${listed(given)}`,
      fix: fixFor(wanted, given, components.get(input.from), flow),
    });
    return;
  }
  if (given.length === 0) return;
  input.types.forEach((type, place) => {
    if (given.includes(type)) return;
    reportAt(scope, [...at, "types", place], {
      code: "pipeline/type-never-comes",
      severity: "warning",
      message: `\`${input.from}\` never produces ${type}, only ${listed(given)}`,
      fix: didYouMean([type], given) ?? "Remove it from `types`.",
    });
  });
}

function fixFor(
  wanted: readonly string[],
  given: readonly string[],
  upstream: Component | undefined,
  flow: TypeFlow,
): string {
  const guess = didYouMean(wanted, given);
  if (guess !== undefined) return guess;
  if (upstream !== undefined && wanted.length === 1 && flow.settledFor(upstream).length > 0) {
    return `Consume ${listed(given)} here, or set \`type: ${wanted[0]}\` under \`with\` of \`${upstream.id}\`.`;
  }
  return `Connect a component that produces ${listed(wanted)}, or change \`types\`, \`consumes\` or \`produces\`.`;
}

function didYouMean(wanted: readonly string[], given: readonly string[]): string | undefined {
  for (const type of wanted) {
    const guess = closest(type, given);
    // A version is no slip of the pen: to take the other one is a decision.
    if (guess !== undefined && guess.replace(/\d+$/, "") !== type.replace(/\d+$/, "")) {
      return `Did you mean \`${guess}\`?`;
    }
  }
  return undefined;
}

/** An empty list is any type. */
function canMeet(a: readonly string[], b: readonly string[]): boolean {
  return a.length === 0 || b.length === 0 || a.some((type) => b.includes(type));
}
