/** Keys of a structured log line that say what its prefix says, or that nobody reads in the log of a job. */
const LEFT_OUT = new Set(["level", "time", "msg", "name"]);

/** What a component wrote to standard error, as a line for people: of a structured line its level, message and fields. */
export function readableLine(text) {
  const record = recordOf(text);
  if (record === undefined) return text;
  const fields = Object.entries(record)
    .filter(([key]) => !LEFT_OUT.has(key))
    .map(
      ([key, value]) =>
        ` ${key}=${typeof value === "string" && /^[^\s"=]+$/.test(value) ? value : JSON.stringify(value)}`,
    );
  return `${record.level.padEnd(5)} ${record.msg}${fields.join("")}`;
}

/** What it says, without anything around it. */
export function messageOf(text) {
  return recordOf(text)?.msg ?? text;
}

function recordOf(text) {
  if (!text.startsWith("{")) return undefined;
  try {
    const record = JSON.parse(text);
    return typeof record.msg === "string" && typeof record.level === "string" ? record : undefined;
  } catch {
    return undefined;
  }
}
