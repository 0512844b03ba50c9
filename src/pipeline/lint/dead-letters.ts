import { oneOf, suggestion } from "../../foundation/did-you-mean.ts";
import { builtinKey } from "../catalog.ts";
import { reportAt } from "../resolve/scope.ts";
import type { LintContext } from "./lint-context.ts";
import { idsOf } from "./lint-context.ts";

/** `to` of a dead letter names another component, and that is a sink which runs. */
export function lintDeadLetters(context: LintContext): void {
  const { scope, resolved } = context;
  for (const { component, path, active } of resolved.components) {
    const to = component.onError.to;
    if (to === undefined) continue;
    const at = [...path, "on_error", "to"];
    const target = context.declared.get(to);
    const sinks = idsOf(context, "sinks").filter((id) => id !== component.id);
    const otherwise = sinks.length === 0 ? "Declare a sink for the dead letters." : `Use ${oneOf(sinks)}.`;
    if (to === component.id) {
      reportAt(scope, at, {
        code: "pipeline/self-input",
        message: `\`${component.id}\` sends its dead letters to itself`,
        fix: otherwise,
      });
    } else if (target === undefined) {
      if (context.incomplete) continue;
      reportAt(scope, at, {
        code: "pipeline/unknown-dead-letter",
        message: `The dead letters of \`${component.id}\` go to \`${to}\`, which does not exist`,
        fix: suggestion(to, sinks, `Declare a sink \`${to}\`${sinks.length === 0 ? "" : `, or use ${oneOf(sinks)}`}.`),
      });
    } else if (target.section !== "sinks") {
      reportAt(scope, at, {
        code: "pipeline/dead-letter-not-a-sink",
        message: `The dead letters of \`${component.id}\` go to \`${to}\`, which is a ${target.section.slice(0, -1)}, not a sink`,
        fix: otherwise,
      });
    } else if (active && target.active === false) {
      reportAt(scope, at, {
        code: "pipeline/inactive-input",
        message: `The dead letters of \`${component.id}\` go to \`${to}\`, which is not in an active profile`,
        fix: `Activate its profile with \`--profile\`, or remove \`profiles\` from \`${to}\`.`,
      });
    }
  }
  lintTargets(context);
}

/** Warns of a sink that keeps too little of the dead letters it gets. */
function lintTargets({ scope, resolved, catalog }: LintContext): void {
  const targets = new Set(resolved.components.map(({ component }) => component.onError.to));
  for (const { component, path } of resolved.components) {
    if (component.type !== "sink" || component.uses === undefined || !targets.has(component.id)) continue;
    const problem = catalog.get(builtinKey("sink", component.uses))?.losesDeadLetters?.(component.with);
    if (problem === undefined) continue;
    reportAt(scope, [...path, "with", ...problem.path], {
      code: "pipeline/dead-letters-lost",
      severity: "warning",
      message: `\`${component.id}\` receives dead letters: ${problem.message}`,
      fix: sentence(problem.fix ?? "Change the setting"),
    });
  }
}

function sentence(text: string): string {
  return `${text.charAt(0).toUpperCase()}${text.slice(1)}.`;
}
