import { suggestion } from "../foundation/did-you-mean.ts";
import { FlowctlError } from "../foundation/errors.ts";
import type { ComponentType } from "../pipeline/pipeline.ts";
import { catalog } from "./checks/catalog.ts";
import type { Check } from "./checks/check.ts";
import type { CheckResult } from "./report.ts";
import { result } from "./run-checks.ts";

/**
 * What is to be checked: what was named, or everything. What was named is never left out silently: it is in the report with the reason,
 * and when none of it remains that is an error (`conformance/nothing-to-check`).
 */
export class Selection {
  /** What was named and is left out, with the reason. */
  readonly leftOut: CheckResult[] = [];
  readonly #named: readonly Check[];
  #remaining: readonly Check[];

  /** Throws `conformance/unknown-check` for an id that does not exist. */
  constructor(only: readonly string[] = []) {
    this.#named = only.map(checkOf);
    this.#remaining = this.#named.length === 0 ? catalog : withNeeds(this.#named);
  }

  /** In the order of the catalogue, with what they need. */
  get checks(): readonly Check[] {
    return this.#remaining;
  }

  /** Leaves out what is about identity. */
  withoutIdentity(): void {
    this.#leaveOut(
      ({ identity = false }) => identity,
      () => "it is about certificates: --insecure leaves it out",
    );
  }

  /** Leaves out what components of this type are not obliged to. */
  ofType(type: ComponentType): void {
    this.#leaveOut(
      ({ types }) => !types.includes(type),
      ({ types }) => `it is an obligation of a ${types.join(" or a ")}, and this is a ${type}`,
    );
  }

  /** Everything that there is to say, in the order of the catalogue. Throws when none of what was named could be checked. */
  conclude(results: readonly CheckResult[]): readonly CheckResult[] {
    const all = [...this.leftOut, ...results];
    if (!results.some(({ outcome }) => outcome === "failed"))
      this.#refuseNothing(all.filter(({ outcome }) => outcome === "not-applicable"));
    return catalog.flatMap(({ id }) => all.filter((one) => one.id === id));
  }

  #leaveOut(isOut: (check: Check) => boolean, why: (check: Check) => string): void {
    const out = this.#remaining.filter(isOut);
    this.#remaining = this.#remaining.filter((check) => !out.includes(check));
    for (const check of out)
      if (this.#named.includes(check)) this.leftOut.push(result(check, "not-applicable", why(check), 0));
    this.#refuseNothing(this.leftOut);
  }

  #refuseNothing(out: readonly CheckResult[]): void {
    const reasons = this.#named.map(({ id }) => out.find((one) => one.id === id));
    if (reasons.length === 0 || reasons.includes(undefined)) return;
    const texts = reasons.map((one) => `${one?.id} (${one?.explanation})`);
    throw new FlowctlError({
      code: "conformance/nothing-to-check",
      kind: "usage",
      message: `Nothing is left to check: ${texts.join(", ")}`,
      fix: "Name a check with --only that concerns the component, or omit what leaves it out",
    });
  }
}

function checkOf(id: string): Check {
  const check = catalog.find((one) => one.id === id);
  if (check !== undefined) return check;
  throw new FlowctlError({
    code: "conformance/unknown-check",
    kind: "usage",
    message: `There is no check "${id}"`,
    fix: suggestion(
      id,
      catalog.map((one) => one.id),
      `Name some of: ${catalog.map((one) => one.id).join(", ")}`,
    ),
  });
}

function withNeeds(named: readonly Check[]): readonly Check[] {
  const selected = new Set<Check>();
  const select = (check: Check): void => {
    if (selected.has(check)) return;
    selected.add(check);
    for (const need of check.needs ?? []) select(checkOf(need));
  };
  for (const check of named) select(check);
  return catalog.filter((check) => selected.has(check));
}
