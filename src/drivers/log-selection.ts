import type { LogLine, LogOptions } from "./driver.ts";
import { CONTROL_PLANE } from "./identity.ts";

/** Whether the log of an instance is one of those that `select` names. */
export function isSelected({ instance, owner }: Pick<LogLine, "instance" | "owner">, { select }: LogOptions): boolean {
  if (select.length === 0) return owner !== CONTROL_PLANE.owner;
  return select.includes(owner) || select.includes(instance);
}

/** Whether a line was written in the time that is asked for. */
export function isWithin({ time }: Pick<LogLine, "time">, { since, until }: LogOptions): boolean {
  return time >= (since ?? 0) && time <= (until ?? Number.POSITIVE_INFINITY);
}
