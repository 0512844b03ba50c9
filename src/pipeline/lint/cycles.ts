import type { KeyPath } from "../problem.ts";
import { reportAt, reportAtKey } from "../resolve/scope.ts";
import { makeTopology } from "../topology.ts";
import type { LintContext } from "./lint-context.ts";
import { idsOf } from "./lint-context.ts";

/** Events do not come back to where they were, and nothing waits for itself. */
export function lintCycles(context: LintContext): void {
  lintEventCycles(context);
  lintStartCycles(context);
}

function lintEventCycles(context: LintContext): void {
  const { resolved, scope } = context;
  const sinks = new Set<string | undefined>(idsOf(context, "sinks"));
  const nodes = resolved.components.map(({ component }) => ({
    id: component.id,
    inputs: component.type === "source" ? [] : component.inputs.filter((input) => input.from !== component.id),
    onError: component.onError.to !== component.id && sinks.has(component.onError.to) ? component.onError : {},
  }));
  for (const cycle of makeTopology(nodes).cycles) {
    const [first = ""] = cycle;
    const last = cycle.at(-1) ?? first;
    const owner = resolved.components.find((item) => item.component.id === first);
    const path: KeyPath = owner?.path ?? [];
    const index = owner?.component.inputs.findIndex((input) => input.from === last) ?? -1;
    reportAt(scope, index === -1 ? path : [...path, "inputs", index], {
      code: "pipeline/cycle",
      message: `The inputs form a cycle: ${circle([...cycle, first])}`,
      fix: `Remove one of these connections, such as the one from \`${last}\` to \`${first}\`.`,
    });
  }
}

/** Ids with arrows; the middle of a long way is left out. */
function circle(ids: readonly string[]): string {
  const shown = ids.length > 12 ? [...ids.slice(0, 6), "…", ...ids.slice(-4)] : ids;
  return shown.join(" → ");
}

function lintStartCycles(context: LintContext): void {
  const { resolved, scope } = context;
  const items = [
    ...resolved.components.map((item) => ({ path: item.path, id: item.component.id, needs: item.component.dependsOn })),
    ...resolved.services.map((item) => ({ path: item.path, id: item.service.id, needs: item.service.dependsOn })),
  ];
  const nodes = items.map(({ id, needs }) => ({
    id,
    inputs: Object.keys(needs)
      .filter((need) => need !== id)
      .map((from) => ({ from })),
  }));
  for (const cycle of makeTopology(nodes).cycles) {
    const [first = ""] = cycle;
    const path = items.find((item) => item.id === first)?.path ?? [];
    reportAtKey(scope, [...path, "depends_on"], {
      code: "pipeline/depends-on-cycle",
      message: `\`depends_on\` forms a cycle: ${circle([first, ...cycle.slice(1).toReversed(), first])}`,
      fix: "Remove one of these dependencies.",
    });
  }
}
