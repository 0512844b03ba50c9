import { listed } from "../did-you-mean.ts";
import type { KeyPath } from "../problem.ts";
import { reportAt } from "../resolve/scope.ts";
import type { LintContext } from "./lint-context.ts";

/** On every edge at least one event type can pass, as far as the types of both ends are known. */
export function lintEventTypes(context: LintContext): void {
  const { resolved, scope } = context;
  const byId = new Map(resolved.components.map((item) => [item.component.id, item.component]));
  for (const { component, path } of resolved.components) {
    component.inputs.forEach((input, index) => {
      const at: KeyPath = [...path, "inputs", index];
      const given = byId.get(input.from)?.produces ?? [];
      const taken = component.consumes;
      if (!canMeet(input.types, taken)) {
        reportAt(scope, [...at, "types"], {
          code: "pipeline/types-cannot-meet",
          message: `\`${component.id}\` takes ${listed(taken)}, and this input lets only ${listed(input.types)} through`,
          fix: "Correct `types`, or `consumes`.",
        });
        return;
      }
      const wanted = input.types.length > 0 ? input.types : taken;
      if (canMeet(given, wanted)) return;
      reportAt(scope, input.types.length > 0 ? [...at, "types"] : at, {
        code: "pipeline/types-cannot-meet",
        message: `\`${component.id}\` takes ${listed(wanted)}, and \`${input.from}\` gives only ${listed(given)}`,
        fix: `Connect a component that gives ${listed(wanted)}, or correct \`types\`, \`consumes\` or \`produces\`.`,
      });
    });
  }
}

/** An empty list is any type. */
function canMeet(a: readonly string[], b: readonly string[]): boolean {
  return a.length === 0 || b.length === 0 || a.some((type) => b.includes(type));
}
