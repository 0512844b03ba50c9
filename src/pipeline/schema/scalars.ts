import * as z from "zod";
import { parseDuration } from "../../foundation/duration.ts";
import { parseByteSize } from "../values/byte-size.ts";

/**
 * The building blocks of the schema. The `error` of each is not a sentence but says what is expected there, to follow
 * "must be": messages are put together in one place, from it, the key and the value.
 */

/** Go's durations, as Compose takes them. */
const durationPattern = /^(?:\d+(?:\.\d+)?(?:us|ms|s|m|h|d))+$/;
/** Docker's sizes: units are powers of 1024. */
const bytesPattern = /^\d+(?:\.\d+)? ?(?:[kKmMgGtTpP][iI]?)?[bB]?$/;
/** Ids of components and services: DNS labels, so that they can be host names, and underscores. */
export const idPattern = /^[a-z0-9][a-z0-9_-]*$/;

/** A text that must not be empty. */
export const text = (expected = "a string") =>
  z.string({ error: expected }).min(1, { error: `${expected} that is not empty` });

/** A text that may be empty. */
export const anyText = (expected = "a string") => z.string({ error: expected });

/** A value that ends up as a text; numbers and booleans are taken as they are written. */
export const textLike = () =>
  z.union([z.string(), z.number(), z.boolean()], { error: "a string, a number or a boolean" });

/** A text of a certain form. */
export const form = (pattern: RegExp, expected: string) =>
  z.string({ error: expected }).regex(pattern, { error: expected });

export const flag = () =>
  z.union([z.boolean(), form(/^(?:true|false)$/, "`true` or `false`")], { error: "`true` or `false`" });

/** An integer from `least` to `most`, also as a text, which is what a variable gives. */
export const wholeNumber = (least: -1 | 0 | 1, expected: string, most = Number.MAX_SAFE_INTEGER) =>
  z.union(
    [
      z.int({ error: expected }).min(least, { error: expected }).max(most, { error: expected }),
      z
        .string({ error: expected })
        .regex(least === 1 ? /^0*[1-9]\d*$/ : least === 0 ? /^\d+$/ : /^(?:-1|\d+)$/, { error: expected })
        .refine((text) => Number(text) <= most, { error: `must be ${expected}` }),
    ],
    { error: expected },
  );

/** Node's timers overflow beyond it, and end at once. */
const longestDurationMs = 24 * 24 * 3_600_000;

export const duration = () =>
  z
    .string({ error: "a duration with a unit, such as `30s` or `1m30s`" })
    .regex(durationPattern, { error: "a duration with a unit, such as `30s` or `1m30s`" })
    .refine((text) => (parseDuration(text) ?? 0) <= longestDurationMs, { error: "must be at most 24 days (`24d`)" });

/** A number of bytes, as a number or with a unit; at least `least`. */
export const byteSize = (least: 0 | 1 = 0) => {
  const error = "a size, such as `256M` or `1gb`";
  const enough = (size: number | string) => (parseByteSize(size) ?? 0) >= least;
  return z
    .union([z.int({ error }).min(0, { error }), z.string({ error }).regex(bytesPattern, { error })], { error })
    .refine(enough, { error: `must be a size of at least ${least} byte` });
};

export const choice = <const T extends readonly [string, ...string[]]>(values: T) =>
  z.enum(values, { error: `one of ${values.map((value) => `\`${value}\``).join(", ")}` });

/** A list of texts. */
export const textList = (expected = "a list of strings") => z.array(anyText(), { error: expected });

export const oneOrMany = (what: string) =>
  z.union([text(what), z.array(text(what))], { error: `${what} or a list of them` });

/** A name alone takes its value from elsewhere. */
const assignment = text("`NAME=value`").regex(/^(?:\S+|[^\s=]+=.*)$/s, { error: "must be `NAME=value`" });

/** `KEY: value` or `- KEY=value`. */
export const assignments = (what: string) =>
  z.union([z.record(z.string(), textLike().nullable()), z.array(assignment)], {
    error: `a mapping of ${what}, or a list of \`NAME=value\``,
  });

export const mapping = <T extends z.ZodType>(value: T, what: string) =>
  z.record(z.string(), value, { error: `a mapping of ${what}` });

/** A mapping with fixed keys. Keys that begin with `x-` are taken away before it sees them. */
export const block = <T extends z.ZodRawShape>(shape: T, what: string) =>
  z.strictObject(shape, { error: (issue) => (issue.code === "unrecognized_keys" ? undefined : what) });
