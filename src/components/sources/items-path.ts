import * as z from "zod";

/** A path into a JSON value: names and numbers joined by dots, such as `data.items` or `results.0.rows`. */
export const itemsPathSchema = z
  .string()
  .regex(/^[^.]+(?:\.[^.]+)*$/, "must be names joined by dots, such as data.items");

/** The value at the path; undefined when something on the way is missing. */
export function valueAt(root: unknown, path: string): unknown {
  let value = root;
  for (const key of path.split(".")) {
    if (typeof value !== "object" || value === null || !Object.hasOwn(value, key)) return undefined;
    value = (value as Record<string, unknown>)[key];
  }
  return value;
}
