import { Optional } from "@marcbachmann/cel-js";
import { Duration, UnsignedInt } from "@marcbachmann/cel-js/evaluator";

/**
 * The JSON value of what an expression gave: whole numbers become numbers (text where a number would lose digits),
 * timestamps RFC 3339 text, durations text such as `90s`, bytes base64; an empty optional becomes undefined, which
 * JSON leaves out. Values that are JSON already are returned as they are, not copied.
 */
export function toJson(value: unknown): unknown {
  switch (typeof value) {
    case "bigint":
      return fromInteger(value);
    case "object":
      return value === null ? null : fromObject(value);
    default:
      return value;
  }
}

function fromInteger(value: bigint): number | string {
  const number = Number(value);
  return Number.isSafeInteger(number) ? number : value.toString();
}

function fromObject(value: object): unknown {
  if (Array.isArray(value)) return fromArray(value);
  if (value instanceof Date) return value.toISOString();
  if (value instanceof Uint8Array)
    return Buffer.from(value.buffer, value.byteOffset, value.byteLength).toString("base64");
  if (value instanceof Optional) return value.hasValue() ? toJson(value.value()) : undefined;
  if (value instanceof UnsignedInt) return fromInteger(value.value);
  if (value instanceof Duration) return value.toString();
  if (value instanceof Map) return fromRecord(Object.fromEntries(value));
  if (value instanceof Set) return fromArray([...value]);
  return fromRecord(value as Record<string, unknown>);
}

function fromArray(values: readonly unknown[]): readonly unknown[] {
  for (let i = 0; i < values.length; i++) {
    const before = values[i];
    const after = toJson(before);
    if (after === before) continue;
    const copy = values.slice();
    for (let rest = i; rest < copy.length; rest++) copy[rest] = toJson(copy[rest]);
    return copy;
  }
  return values;
}

function fromRecord(record: Record<string, unknown>): Record<string, unknown> {
  let copy: Record<string, unknown> | undefined;
  for (const key of Object.keys(record)) {
    const before = record[key];
    const after = toJson(before);
    if (after === before) continue;
    copy ??= { ...record };
    copy[key] = after;
  }
  return copy ?? record;
}
