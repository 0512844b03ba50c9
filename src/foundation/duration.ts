const millisecondsPer: Readonly<Record<string, number>> = {
  us: 0.001,
  ms: 1,
  s: 1000,
  m: 60_000,
  h: 3_600_000,
  d: 86_400_000,
};

/** A duration as Compose writes them: `250ms`, `30s`, `1m30s`, `2d`. */
export const DURATION = /^(?:\d+(?:\.\d+)?(?:us|ms|s|m|h|d))+$/;

/** Milliseconds of a duration such as `1m30s`; undefined when it is none. Fractions of a millisecond are rounded. */
export function parseDuration(text: string): number | undefined {
  if (!DURATION.test(text)) return undefined;
  let total = 0;
  for (const [, amount, unit] of text.matchAll(/(\d+(?:\.\d+)?)(us|ms|s|m|h|d)/g)) {
    total += Number(amount) * (millisecondsPer[unit ?? ""] ?? 0);
  }
  return Math.round(total);
}

/** The shortest text that `parseDuration` reads as `milliseconds`. */
export function formatDuration(milliseconds: number): string {
  if (milliseconds <= 0) return "0s";
  let rest = Math.round(milliseconds);
  let text = "";
  for (const [unit, size] of [
    ["h", 3_600_000],
    ["m", 60_000],
    ["s", 1000],
    ["ms", 1],
  ] as const) {
    const amount = Math.floor(rest / size);
    if (amount > 0) text += `${amount}${unit}`;
    rest -= amount * size;
  }
  return text;
}
