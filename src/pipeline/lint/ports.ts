import { portsOf } from "../resolve/resolve-attachments.ts";
import { reportAt } from "../resolve/scope.ts";
import type { LintContext } from "./lint-context.ts";

/** No port of the host is asked for twice, be it by two components or by two instances of one. */
export function lintPorts(context: LintContext): void {
  const { resolved, scope } = context;
  const taken: { readonly key: string; readonly hostIp: string; readonly owner: string }[] = [];
  const items = [
    ...resolved.components.map((item) => ({ ...item, id: item.component.id, replicas: item.component.replicas })),
    ...resolved.services.map((item) => ({ ...item, id: item.service.id, replicas: 1 })),
  ];
  for (const item of items) {
    if (!item.active) continue;
    (item.file.ports ?? []).forEach((written, index) => {
      const mappings = portsOf(written);
      if (typeof mappings === "string") return;
      const at = [...item.path, "ports", index];
      for (const mapping of mappings) {
        if (mapping.published === undefined) continue;
        const key = `${mapping.published}/${mapping.protocol}`;
        const other = taken.find((entry) => entry.key === key && overlap(entry.hostIp, mapping.hostIp));
        if (other !== undefined) {
          reportAt(scope, at, {
            code: "pipeline/port-conflict",
            message: `Host port ${key} is already published by \`${other.owner}\``,
            fix: "Publish another port, or leave the host's port out to get a free one.",
          });
          break;
        }
        taken.push({ key, hostIp: mapping.hostIp, owner: item.id });
        if (item.replicas === 1) continue;
        reportAt(scope, at, {
          code: "pipeline/port-with-replicas",
          message: `The ${item.replicas} instances of \`${item.id}\` cannot all publish port ${key} of the host`,
          fix: "Leave the host's port out to get a free one for each, or run one instance.",
        });
        break;
      }
    });
  }
}

function overlap(a: string, b: string): boolean {
  return a === b || [a, b].some((ip) => ip === "0.0.0.0" || ip === "::");
}
