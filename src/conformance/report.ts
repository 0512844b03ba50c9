import type { ComponentType } from "../pipeline/pipeline.ts";

/** What became of one obligation. */
export type CheckOutcome =
  | "passed"
  | "failed"
  /** The component did not do enough to see it, or something that it rests on failed; the explanation says which. */
  | "not-shown"
  /** It does not concern this component; the explanation says why. */
  | "not-applicable";

/** One obligation of the component contract and whether the component keeps it. */
export interface CheckResult {
  /** Stable, `area/kebab-slug`, such as `publish/credit-events`. It is API. */
  readonly id: string;
  /** The obligation, as a sentence about the component: "never sends more events than it was given credit for". */
  readonly title: string;
  readonly outcome: CheckOutcome;
  /** What was seen. Empty for a check that passed. */
  readonly explanation: string;
  /** What the author does to mend it, as an instruction. Only where the check failed. */
  readonly fix?: string;
  /** The last lines that the component wrote, oldest first. Only where the check failed. */
  readonly output?: readonly string[];
  readonly durationMs: number;
}

/** What `flowctl component test` found. Plain data: `JSON.stringify` of it is the machine-readable form. */
export interface ConformanceReport {
  /** Undefined when the component never registered, so that its type is unknown. */
  readonly type: ComponentType | undefined;
  /** Whether no check failed. Says nothing about what was not shown. */
  readonly conforms: boolean;
  readonly passed: number;
  readonly failed: number;
  readonly notShown: number;
  readonly notApplicable: number;
  readonly durationMs: number;
  /** Whether it was tested with certificates. Otherwise nothing is said of the identity part of the contract. */
  readonly identityChecked: boolean;
  /** Features that it declares and that no check looks at: whether it supports them was not shown. */
  readonly unchecked: readonly string[];
  /** In the order of the catalogue, whatever order they were run in. */
  readonly checks: readonly CheckResult[];
}

/** Makes the report of finished checks. */
export function summarize(
  type: ComponentType | undefined,
  checks: readonly CheckResult[],
  durationMs: number,
  { unchecked = [], identityChecked = true }: Partial<Pick<ConformanceReport, "unchecked" | "identityChecked">> = {},
): ConformanceReport {
  const count = (outcome: CheckOutcome) => checks.filter((check) => check.outcome === outcome).length;
  const failed = count("failed");
  return {
    type,
    conforms: failed === 0,
    passed: count("passed"),
    failed,
    notShown: count("not-shown"),
    notApplicable: count("not-applicable"),
    durationMs,
    identityChecked,
    unchecked,
    checks,
  };
}
