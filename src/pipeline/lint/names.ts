import type { KeyPath } from "../problem.ts";
import { isTrue } from "../resolve/plain-values.ts";
import { reportAt, reportAtKey } from "../resolve/scope.ts";
import { idPattern } from "../schema/scalars.ts";
import type { SourceNode } from "../source/source-node.ts";
import { nodeAt } from "../source/source-node.ts";
import type { LintContext } from "./lint-context.ts";

/** The host name of the control plane in a pipeline's network. */
const reservedIds = new Set(["control-plane"]);
const longest = 63;
const sections = ["sources", "processors", "sinks", "services"] as const;
const resourceSections = ["secrets", "configs", "volumes", "networks"] as const;

/** Names are legal, and ids are unique over all sections, since each is a host name. */
export function lintNames(context: LintContext): void {
  const { scope } = context;
  const name = context.resolved.pipeline.name;
  if (!idPattern.test(name) || name.length > longest) {
    const isOwn = context.nameOverride === undefined;
    reportAt(scope, isOwn ? ["name"] : [], {
      code: "pipeline/invalid-name",
      message: `Invalid pipeline name ${JSON.stringify(name)}${isOwn ? "" : " (overrides the name in the file)"}`,
      fix: `Use at most ${longest} characters from a–z, 0–9, - and _, starting with a letter or digit.`,
    });
  }
  const seen = new Map<string, string>();
  for (const section of sections) {
    for (const id of keysOf(context, section)) {
      const path = [section, id];
      if (!idPattern.test(id) || id.length > longest) {
        reportAtKey(scope, path, {
          code: "pipeline/invalid-name",
          message: `Invalid ${section.slice(0, -1)} id ${JSON.stringify(id)}`,
          fix: `Use at most ${longest} characters from a–z, 0–9, - and _, starting with a letter or digit; the id is also the host name.`,
        });
      } else if (context.driver === "kubernetes" && !/^[a-z0-9](?:[a-z0-9-]*[a-z0-9])?$/.test(id)) {
        reportAtKey(scope, path, {
          code: "pipeline/invalid-name",
          message: `${JSON.stringify(id)} is not a valid Kubernetes name`,
          fix: "Use only a–z, 0–9 and -, starting and ending with a letter or digit.",
        });
      } else if (reservedIds.has(id)) {
        reportAtKey(scope, path, {
          code: "pipeline/reserved-name",
          message: `The id \`${id}\` is reserved by flowctl`,
          fix: "Choose another id.",
        });
      }
      const other = seen.get(id);
      if (other !== undefined) {
        reportAtKey(scope, path, {
          code: "pipeline/duplicate-id",
          message: `\`${id}\` is already declared in \`${other}\``,
          fix: "Choose another id: ids must be unique across sources, processors, sinks and services.",
        });
      } else seen.set(id, section);
    }
  }
  if (keysOf(context, "networks").includes("default")) {
    reportAtKey(scope, ["networks", "default"], {
      code: "pipeline/unsupported-value",
      message: "The pipeline's own network, `default`, cannot be configured",
      fix: "Declare a network with another name, and add it to the `networks` of each component that joins it.",
    });
  }
  for (const section of resourceSections) {
    for (const key of keysOf(context, section)) {
      if (/^[a-zA-Z0-9][a-zA-Z0-9._-]*$/.test(key)) continue;
      reportAtKey(scope, [section, key], {
        code: "pipeline/invalid-name",
        message: `Invalid name ${JSON.stringify(key)} in \`${section}\``,
        fix: "Use letters, digits, `.`, `-` and `_`, starting with a letter or digit.",
      });
    }
  }
  lintEngineNames(context);
  lintNul(scope, [], scope.root);
}

/** The names of volumes and networks in the engine, and that what exists outside is not configured here. */
function lintEngineNames({ scope }: LintContext): void {
  for (const section of ["volumes", "networks"] as const) {
    for (const [key, resource] of Object.entries(scope.file[section] ?? {})) {
      const path = [section, key];
      const name = resource?.name;
      const pattern = section === "volumes" ? /^[a-zA-Z0-9][a-zA-Z0-9_.-]+$/ : /^[a-zA-Z0-9][a-zA-Z0-9_.-]*$/;
      if (name !== undefined && !pattern.test(name)) {
        reportAt(scope, [...path, "name"], {
          code: "pipeline/invalid-name",
          message: `Invalid ${section.slice(0, -1)} name ${JSON.stringify(name)}`,
          fix: `Use ${section === "volumes" ? "two or more " : ""}letters, digits, \`.\`, \`-\` and \`_\`, starting with a letter or digit.`,
        });
      }
      if (!isTrue(resource?.external)) continue;
      for (const other of Object.keys(resource ?? {})) {
        if (other === "external" || other === "name") continue;
        reportAtKey(scope, [...path, other], {
          code: "pipeline/conflicting-keys",
          message: `\`${other}\` has no effect because \`${path.join(".")}\` is external`,
          fix: `Remove \`${other}\` or \`external\`.`,
        });
      }
    }
  }
}

/** No operating system takes a NUL character in a name, an argument or a variable. Settings may hold one. */
function lintNul(scope: LintContext["scope"], path: KeyPath, node: SourceNode): void {
  if (path[2] === "with" || (path[0] === "configs" && path[2] === "content")) return;
  if (node.kind === "map") for (const [key, entry] of node.entries) lintNul(scope, [...path, key], entry.value);
  else if (node.kind === "list") node.items.forEach((item, index) => void lintNul(scope, [...path, index], item));
  else if (typeof node.value === "string" && node.value.includes("\0")) {
    reportAt(scope, path, {
      code: "pipeline/invalid-value",
      message: "The value contains a NUL character, which cannot be passed to a program",
      fix: "Remove the NUL character.",
    });
  }
}

function keysOf(context: LintContext, section: string): readonly string[] {
  const node = nodeAt(context.scope.root, [section]);
  return node?.kind === "map" ? [...node.entries.keys()] : [];
}
