/** What one check of `flowctl doctor` found. Plain data. */
export interface Finding {
  /** `ok`: nothing to do; `warning`: works, but look at it; `problem`: something does not work. */
  readonly level: "ok" | "warning" | "problem";
  /** What was looked at: `node`, `docker`, `disk`, `ports`, `pipeline quakes`, … */
  readonly subject: string;
  readonly detail: string;
  /** What to do about it. Set for every warning and problem. */
  readonly fix?: string;
}

export function ok(subject: string, detail: string): Finding {
  return { level: "ok", subject, detail };
}

export function warning(subject: string, detail: string, fix: string): Finding {
  return { level: "warning", subject, detail, fix };
}

export function problem(subject: string, detail: string, fix: string): Finding {
  return { level: "problem", subject, detail, fix };
}
