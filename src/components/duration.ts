import * as z from "zod";

const pattern = /^(?:\d+(?:\.\d+)?(?:ms|s|m|h))+$/;
const unitMs: Readonly<Record<string, number>> = { ms: 1, s: 1_000, m: 60_000, h: 3_600_000 };

/** A duration as Compose writes them: `250ms`, `30s`, `1m30s`. Kept as text, so that checking twice changes nothing. */
export const durationSchema = z.string().regex(pattern, "must be a duration, such as 250ms, 30s or 1m30s");

/** Milliseconds of a text that `durationSchema` accepts. */
export function durationMs(text: string): number {
  let sum = 0;
  for (const [, amount, unit] of text.matchAll(/(\d+(?:\.\d+)?)(ms|s|m|h)/g)) sum += Number(amount) * unitMs[unit!]!;
  return sum;
}
