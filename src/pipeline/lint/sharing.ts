import { builtinKey } from "../catalog.ts";
import type { KeyPath } from "../problem.ts";
import type { ResolvedComponent } from "../resolve/resolved.ts";
import { reportAt } from "../resolve/scope.ts";
import type { LintContext } from "./lint-context.ts";

/** Built-ins have no more instances than can share their work, and no two write one file, or one the file that it came from. */
export function lintSharing(context: LintContext): void {
  const active = context.resolved.components.filter((item) => item.active);
  for (const item of active) lintReplicas(context, item);
  const writers = new Map<string, FileUse>();
  const uses = active.flatMap((item) => filesOf(context, item));
  for (const use of uses.filter(({ access }) => access === "write")) {
    const other = writers.get(use.file);
    // Instances of one component that write one file are told so where paths are resolved.
    if (other !== undefined && other.id !== use.id) lintSharedOutput(context, use, other);
    else writers.set(use.file, use);
  }
  const below = belowOf(active);
  for (const { id, file } of uses.filter(({ access }) => access === "read")) {
    const writer = writers.get(file);
    if (writer !== undefined && below(id).has(writer.id)) lintLoop(context, writer, id);
  }
}

function lintReplicas({ scope, catalog }: LintContext, { component, path }: ResolvedComponent): void {
  const { id, type, uses, replicas } = component;
  if (uses === undefined || replicas === 1 || catalog.get(builtinKey(type, uses))?.shareable !== false) return;
  reportAt(scope, [...path, "deploy", "replicas"], {
    code: "pipeline/not-shareable",
    message: `\`${id}\` cannot have ${replicas} instances: instances of a ${uses} ${type} cannot share their input`,
    fix: "Run one instance of it, and scale the components downstream instead.",
  });
}

function lintSharedOutput({ scope }: LintContext, use: FileUse, other: FileUse): void {
  reportAt(scope, use.at, {
    code: "pipeline/shared-output",
    message: `\`${use.id}\` and \`${other.id}\` would overwrite each other in ${use.file}`,
    fix: "Give each its own file, or use one component with both inputs.",
  });
}

function lintLoop({ scope }: LintContext, writer: FileUse, source: string): void {
  reportAt(scope, writer.at, {
    code: "pipeline/writes-own-input",
    message: `\`${writer.id}\` would write to ${writer.file}, which its upstream source \`${source}\` reads`,
    fix: "Write to a different file.",
  });
}

interface FileUse {
  readonly id: string;
  readonly access: "read" | "write";
  /** Absolute, of one instance. */
  readonly file: string;
  readonly at: KeyPath;
}

/** The files of a built-in component, of each of its instances. */
function filesOf(context: LintContext, { component, path }: ResolvedComponent): readonly FileUse[] {
  const { id, type, uses, replicas, with: settings } = component;
  const spec = uses === undefined ? undefined : context.catalog.get(builtinKey(type, uses));
  return Object.entries(spec?.paths ?? {}).flatMap(([dotted, access]) => {
    const keys = dotted.split(".");
    const value = keys.reduce<unknown>((inner, key) => (inner as Record<string, unknown> | undefined)?.[key], settings);
    if (typeof value !== "string" || value === "") return [];
    const files = new Set(
      Array.from({ length: replicas }, (_, index) => value.replaceAll("{instance}", String(index + 1))),
    );
    return [...files].map((file): FileUse => ({ id, access, file, at: [...path, "with", ...keys] }));
  });
}

/** The ids of all that is below a component, dead letters included. */
function belowOf(items: readonly ResolvedComponent[]): (id: string) => ReadonlySet<string> {
  return (id) => {
    const found = new Set<string>();
    const visit = (from: string): void => {
      for (const { component } of items) {
        const isFed = component.inputs.some((input) => input.from === from);
        const isTarget = items.some((item) => item.component.id === from && item.component.onError.to === component.id);
        if ((!isFed && !isTarget) || found.has(component.id)) continue;
        found.add(component.id);
        visit(component.id);
      }
    };
    visit(id);
    return found;
  };
}
