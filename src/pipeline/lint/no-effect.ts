import { reportAtKey } from "../resolve/scope.ts";
import { nodeAt } from "../source/source-node.ts";
import type { LintContext } from "./lint-context.ts";

/** What has an effect on received events alone, and what to do about it on a source, which receives none. */
const OF_RECEIVED = {
  on_error: "Move it to the processor or sink that cannot process an event, or remove it.",
  partition_by: "Move it to the processor or sink whose instances share the events, or remove it.",
} as const;

/** Warns of keys of a source that change nothing. */
export function lintNoEffect({ scope, resolved }: LintContext): void {
  for (const { component, path } of resolved.components) {
    if (component.type !== "source") continue;
    for (const [key, fix] of Object.entries(OF_RECEIVED)) {
      if (nodeAt(scope.root, [...path, key]) === undefined) continue;
      reportAtKey(scope, [...path, key], {
        code: "pipeline/no-effect",
        severity: "warning",
        message: `\`${key}\` of the source \`${component.id}\` has no effect: sources receive no events`,
        fix,
      });
    }
  }
}
