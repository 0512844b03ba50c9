import * as z from "zod";
import { DURATION, parseDuration } from "../foundation/duration.ts";

/** A duration such as `250ms`, `30s` or `1m30s`. Kept as text, so that checking twice changes nothing. */
export const durationSchema = z.string().regex(DURATION, "must be a duration, such as 250ms, 30s or 1m30s");

/** Milliseconds of a text that `durationSchema` accepts. */
export function durationMs(text: string): number {
  return parseDuration(text) ?? 0;
}
