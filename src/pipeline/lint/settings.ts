import { reportAt } from "../resolve/scope.ts";
import type { LintContext } from "./lint-context.ts";

/** What remains to be said about single values. */
export function lintSettings(context: LintContext): void {
  const { resolved, scope } = context;
  for (const { component, path } of resolved.components) {
    if (component.partitionBy !== undefined && !/^[A-Za-z_][\w-]*(?:\.[\w-]+|\[\d+\])*$/.test(component.partitionBy)) {
      reportAt(scope, [...path, "partition_by"], {
        code: "pipeline/invalid-partition",
        message: `${JSON.stringify(component.partitionBy)} is not a path into an event`,
        fix: "Write, for example, `payload.customer` or `metadata.tenant`.",
      });
    }
    const { limits, reservations } = component;
    if ((limits.memoryBytes ?? Number.POSITIVE_INFINITY) < (reservations.memoryBytes ?? 0)) {
      reportAt(scope, [...path, "deploy", "resources", "reservations", "memory"], {
        code: "pipeline/reservation-above-limit",
        message: `\`${component.id}\` reserves more memory than its limit`,
        fix: "Lower the reservation, or raise the limit.",
      });
    }
  }
  for (const { file, path, service } of resolved.services) {
    if (Number(file.deploy?.replicas ?? 1) === 1) continue;
    reportAt(scope, [...path, "deploy", "replicas"], {
      code: "pipeline/service-replicas",
      message: `The service \`${service.id}\` can have one instance only`,
      fix: "Remove `replicas`; only components can have several instances.",
    });
  }
}
