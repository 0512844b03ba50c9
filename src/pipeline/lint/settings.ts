import { reportAt } from "../resolve/scope.ts";
import type { LintContext } from "./lint-context.ts";
import { partitionPathFix } from "./partition-path.ts";

/** What remains to be said about single values. */
export function lintSettings(context: LintContext): void {
  const { resolved, scope } = context;
  for (const { component, path } of resolved.components) {
    const fix = component.partitionBy === undefined ? undefined : partitionPathFix(component.partitionBy);
    if (fix !== undefined) {
      reportAt(scope, [...path, "partition_by"], {
        code: "pipeline/invalid-partition",
        message: `Invalid event path ${JSON.stringify(component.partitionBy)}`,
        fix,
      });
    }
    const { limits, reservations } = component;
    if ((limits.memoryBytes ?? Number.POSITIVE_INFINITY) < (reservations.memoryBytes ?? 0)) {
      reportAt(scope, [...path, "deploy", "resources", "reservations", "memory"], {
        code: "pipeline/reservation-above-limit",
        message: `The memory reservation of \`${component.id}\` exceeds its limit`,
        fix: "Lower the reservation or raise the limit.",
      });
    }
  }
  for (const { file, path, service } of resolved.services) {
    if (Number(file.deploy?.replicas ?? 1) === 1) continue;
    reportAt(scope, [...path, "deploy", "replicas"], {
      code: "pipeline/service-replicas",
      message: `The service \`${service.id}\` can have only one instance`,
      fix: "Remove `replicas`; only components can have more than one instance.",
    });
  }
}
