import type { Driver } from "../../drivers/driver.ts";
import { withDeadline } from "../../foundation/deadline.ts";
import { TELLING_TAIL, tellingLine } from "../../foundation/telling-line.ts";

/** What the supervisor needs of a driver; its logs only to say what an instance said last. */
export type SupervisedDriver = Pick<Driver, "events" | "apply" | "observe" | "capabilities"> &
  Partial<Pick<Driver, "logs">>;

/** Time that reading the last log line of an instance may take, in milliseconds, and how much of it is kept. */
const LAST_LINE_MS = 2_000;
const LAST_LINE_CHARACTERS = 200;

/** Characters by which a log line is recognized in a reason that quotes it. */
const RECOGNIZED_BY = 60;

/** Fewer characters are in many a reason by chance. */
const RECOGNIZABLE = 8;

/** What an instance logged last, as the end of a sentence; empty when it cannot be told, or `reason` has it. Never rejects. */
export async function lastLine(
  driver: SupervisedDriver,
  pipeline: string,
  instanceId: string,
  reason: string,
  signal: AbortSignal,
): Promise<string> {
  if (driver.logs === undefined) return "";
  const limit = withDeadline(signal, LAST_LINE_MS);
  const options = { select: [instanceId], follow: false, tail: TELLING_TAIL };
  const texts: string[] = [];
  try {
    for await (const { text } of driver.logs(pipeline, options, limit)) texts.push(text);
  } catch {
    // It only illustrates.
  }
  const last = messageIn(tellingLine(texts).trim());
  return last === "" || (last.length >= RECOGNIZABLE && reason.includes(last.slice(0, RECOGNIZED_BY)))
    ? ""
    : `, last log line: ${last.slice(0, LAST_LINE_CHARACTERS)}`;
}

/** What a log line says: the message of a structured one, else all of it. */
function messageIn(line: string): string {
  if (!line.startsWith("{")) return line;
  try {
    const { msg } = JSON.parse(line) as { readonly msg?: unknown };
    return typeof msg === "string" && msg !== "" ? msg : line;
  } catch {
    return line;
  }
}
