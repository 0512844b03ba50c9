import { oneOf, suggestion } from "../../foundation/did-you-mean.ts";
import type { ContainerSettings, DependsOn } from "../pipeline.ts";
import { reportAt, reportAtKey } from "../resolve/scope.ts";
import { nodeAt } from "../source/source-node.ts";
import type { LintContext } from "./lint-context.ts";

/** What something waits for exists, runs, is not itself, and can be what is waited for. */
export function lintDependsOn(context: LintContext): void {
  const { scope, resolved, declared } = context;
  const items = [
    ...resolved.components.map((item) => ({ ...item, settings: item.component })),
    ...resolved.services.map((item) => ({ ...item, settings: item.service })),
  ];
  for (const item of items) {
    const { id, dependsOn } = item.settings;
    const isList = nodeAt(scope.root, [...item.path, "depends_on"])?.kind === "list";
    Object.entries(dependsOn).forEach(([need, dependency], index) => {
      const report = isList ? reportAt : reportAtKey;
      const at = [...item.path, "depends_on", isList ? index : need];
      const target = declared.get(need);
      const others = [...declared.keys()].filter((other) => other !== id);
      if (need === id) {
        report(scope, at, {
          code: "pipeline/depends-on-itself",
          message: `\`${id}\` depends on itself`,
          fix: "Remove it from its `depends_on`.",
        });
      } else if (target === undefined) {
        if (context.incomplete) return;
        report(scope, at, {
          code: "pipeline/unknown-dependency",
          message: `\`${id}\` depends on \`${need}\`, which does not exist`,
          fix: suggestion(need, others, others.length === 0 ? "Remove it." : `Use ${oneOf(others)}.`),
        });
      } else if (item.active && target.active === false && dependency.required) {
        report(scope, at, {
          code: "pipeline/inactive-dependency",
          message: `\`${id}\` depends on \`${need}\`, which is not in an active profile`,
          fix: "Activate its profile with `--profile`, or set `required: false`.",
        });
      } else {
        const reason = whyNever(items.find(({ settings }) => settings.id === need)?.settings, dependency.condition);
        if (reason === undefined) return;
        report(scope, at, {
          code: "pipeline/unsatisfiable-dependency",
          message: `\`${id}\` would wait forever: ${reason}`,
          fix: `Use another \`condition\`, or change \`${need}\`.`,
        });
      }
    });
  }
}

/** Why a condition can never come true. */
function whyNever(
  target: (ContainerSettings & { readonly id: string }) | undefined,
  condition: DependsOn["condition"],
): string | undefined {
  if (target === undefined) return undefined;
  if (condition === "service_healthy" && target.healthcheck?.disable === true && !("inputs" in target)) {
    return `the health check of \`${target.id}\` is disabled, so it never becomes healthy`;
  }
  if (condition === "service_completed_successfully" && target.restart.name === "always") {
    return `\`${target.id}\` restarts whenever it exits (\`restart: always\`)`;
  }
  return undefined;
}
