import { closest } from "../../foundation/did-you-mean.ts";
import type { BuiltinCatalog } from "../catalog.ts";
import type { DriverName } from "../pipeline.ts";
import type { Resolved, ResolvedComponent } from "../resolve/resolved.ts";
import type { Scope } from "../resolve/scope.ts";
import { otherName } from "../schema/unsupported-keys.ts";
import { nodeAt } from "../source/source-node.ts";

/** What every rule gets to see. Rules report to `scope` and change nothing. */
export interface LintContext {
  readonly scope: Scope;
  readonly resolved: Resolved;
  readonly catalog: BuiltinCatalog;
  /** Chosen by the file or by the caller. */
  readonly driver: DriverName | undefined;
  /** The name that the caller gave, if it did. */
  readonly nameOverride: string | undefined;
  /** Every id that is declared under a section, also those whose declaration is too broken to be resolved. */
  readonly declared: ReadonlyMap<string, Declaration>;
  /** A section is misspelled, so that what seems to be missing may be in it. */
  readonly incomplete: boolean;
}

export interface Declaration {
  readonly id: string;
  readonly section: "sources" | "processors" | "sinks" | "services";
  /** Absent when the declaration is too broken to be resolved. */
  readonly active: boolean | undefined;
}

/** Whether the component has a part that was taken out, or is written under a wrong name, so that what is missing in it may be there after all. */
export function isBroken(context: LintContext, item: ResolvedComponent, ...keys: readonly string[]): boolean {
  const node = nodeAt(context.scope.root, item.path);
  const written = node?.kind === "map" ? [...node.entries.keys()] : [];
  const means = (other: string, key: string): boolean =>
    other !== key && (closest(other, [key]) === key || otherName(other) === `Use \`${key}\`.`);
  return keys.some((key) => context.scope.tainted([...item.path, key]) || written.some((other) => means(other, key)));
}

/** Ids of the components of some sections. */
export function idsOf(context: LintContext, ...sections: readonly Declaration["section"][]): readonly string[] {
  return [...context.declared.values()].filter((item) => sections.includes(item.section)).map((item) => item.id);
}
