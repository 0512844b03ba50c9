import type { CheckResult, ConformanceReport } from "./report.ts";

/** Colours, as chalk gives them; identity functions for plain text. */
export interface Paint {
  green(text: string): string;
  red(text: string): string;
  yellow(text: string): string;
  dim(text: string): string;
  bold(text: string): string;
}

/** Paints nothing. */
const plainPaint: Paint = {
  green: (text) => text,
  red: (text) => text,
  yellow: (text) => text,
  dim: (text) => text,
  bold: (text) => text,
};

/**
 * The report for people: one line a check (✓ passed, ✗ failed, ? not shown, – not applicable), for a failure what was seen,
 * how to mend it and the component's last output, then a summary. Ends with a line end.
 */
export function renderReport(report: ConformanceReport, paint: Paint = plainPaint): string {
  const lines = report.checks.flatMap((check) => renderCheck(check, paint));
  return `${[...lines, "", renderSummary(report, paint)].join("\n")}\n`;
}

function renderCheck(check: CheckResult, paint: Paint): string[] {
  const label = `${check.title}  ${paint.dim(check.id)}`;
  switch (check.outcome) {
    case "passed":
      return [`${paint.green("✓")} ${label}`];
    case "not-shown":
      return [`${paint.yellow("?")} ${label}`, `    ${paint.dim(check.explanation)}`];
    case "not-applicable":
      return [`${paint.dim("–")} ${label}`, ...(check.explanation ? [`    ${paint.dim(check.explanation)}`] : [])];
    case "failed":
      return [
        `${paint.red("✗")} ${label}`,
        `    ${check.explanation}`,
        ...(check.fix ? [`    ${paint.yellow("fix:")} ${check.fix}`] : []),
        ...(check.output ?? []).map((line) => paint.dim(`    │ ${line}`)),
      ];
  }
}

function renderSummary(report: ConformanceReport, paint: Paint): string {
  const seconds = (report.durationMs / 1000).toFixed(1);
  const counts = [
    `${report.passed} passed`,
    `${report.failed} failed`,
    `${report.notShown} not shown`,
    `${report.notApplicable} not applicable`,
  ].join(", ");
  const summary = `${paint.bold(verdict(report, paint))}: ${counts} (${seconds} s)`;
  const features = `No check looks at what it declares as ${report.unchecked.join(", ")}`;
  return [
    summary,
    ...(report.identityChecked
      ? []
      : [paint.yellow("Identity was not checked: everybody spoke in the clear (--insecure)")]),
    ...(report.unchecked.length === 0 ? [] : [paint.dim(features)]),
  ].join("\n");
}

function verdict(report: ConformanceReport, paint: Paint): string {
  const who = `The ${report.type ?? "component"}`;
  if (!report.conforms) return paint.red(`${who} breaks the contract`);
  const kept = report.identityChecked ? "keeps the contract" : "keeps the contract without its identity part";
  if (report.notShown === 0) return paint.green(`${who} ${kept}`);
  const checks = report.notShown === 1 ? "1 check was" : `${report.notShown} checks were`;
  return paint.yellow(`${who} ${kept} as far as it was shown, but ${checks} not`);
}
