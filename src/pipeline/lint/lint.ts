import { closest } from "../../foundation/did-you-mean.ts";
import type { BuiltinCatalog } from "../catalog.ts";
import type { Resolved } from "../resolve/resolved.ts";
import type { Scope } from "../resolve/scope.ts";
import { pipelineFileSchema } from "../schema/pipeline-file.ts";
import { otherName } from "../schema/unsupported-keys.ts";
import { nodeAt } from "../source/source-node.ts";
import { lintContainers } from "./containers.ts";
import { lintCycles } from "./cycles.ts";
import { lintDeadLetters } from "./dead-letters.ts";
import { lintDependsOn } from "./depends-on.ts";
import { lintEventTypes } from "./event-types.ts";
import type { Declaration, LintContext } from "./lint-context.ts";
import { lintNames } from "./names.ts";
import { lintNoEffect } from "./no-effect.ts";
import { lintPorts } from "./ports.ts";
import { lintReferences } from "./references.ts";
import { lintResources } from "./resources.ts";
import { lintSettings } from "./settings.ts";
import { lintSharing } from "./sharing.ts";
import { lintWayToRun } from "./way-to-run.ts";
import { lintWiring } from "./wiring.ts";

/** Checks what a schema cannot say. Everything that is found is reported; nothing is thrown. */
export async function lint(
  scope: Scope,
  resolved: Resolved,
  options: { readonly catalog: BuiltinCatalog; readonly name?: string | undefined },
): Promise<void> {
  const context: LintContext = {
    scope,
    resolved,
    catalog: options.catalog,
    driver: resolved.pipeline.driver,
    nameOverride: options.name,
    declared: declarations(scope, resolved),
    incomplete:
      [...scope.root.entries.keys()].some(isMisspelled) || sections.some((section) => scope.tainted([section])),
  };
  lintNames(context);
  lintWiring(context);
  lintDeadLetters(context);
  lintNoEffect(context);
  lintCycles(context);
  lintDependsOn(context);
  lintWayToRun(context);
  lintReferences(context);
  lintContainers(context);
  lintPorts(context);
  lintEventTypes(context);
  lintSettings(context);
  lintSharing(context);
  await lintResources(context);
}

const sections = ["sources", "processors", "sinks", "services"] as const;

function isMisspelled(key: string): boolean {
  const known = sections.some((section) => section === key);
  return (
    !known && !Object.hasOwn(pipelineFileSchema.shape, key) && (closest(key, sections) ?? otherName(key)) !== undefined
  );
}

function declarations(scope: Scope, resolved: Resolved): ReadonlyMap<string, Declaration> {
  const activity = new Map<string, boolean>([
    ...resolved.components.map((item) => [item.path.join("."), item.active] as const),
    ...resolved.services.map((item) => [item.path.join("."), item.active] as const),
  ]);
  const result = new Map<string, Declaration>();
  for (const section of sections) {
    const node = nodeAt(scope.root, [section]);
    if (node?.kind !== "map") continue;
    for (const id of node.entries.keys()) {
      if (!result.has(id)) result.set(id, { id, section, active: activity.get(`${section}.${id}`) });
    }
  }
  return result;
}
