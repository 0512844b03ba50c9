import type { KeyPath } from "../problem.ts";

/** Longest value that is said once more, in characters. */
const MOST_SHOWN = 200;

/** Words of other tools for what is called otherwise here. */
const choicesElsewhere: Readonly<Record<string, string>> = {
  skip: "drop",
  ignore: "drop",
  continue: "drop",
  discard: "drop",
  stop: "fail",
  abort: "fail",
  crash: "fail",
  dlq: "dead_letter",
  block: "wait",
  file: "disk",
  persistent: "disk",
  ram: "memory",
};

/** The one of `choices` that another tool calls `word`. */
export function meantChoice(word: string, choices: readonly string[]): string | undefined {
  const meant = Object.hasOwn(choicesElsewhere, word.toLowerCase()) ? choicesElsewhere[word.toLowerCase()] : undefined;
  return meant !== undefined && choices.includes(meant) ? meant : undefined;
}

export function isEmpty(value: unknown): boolean {
  return value === null || value === "";
}

/** What to write at `path` in place of `value`, which is not what is `expected`: as it was meant, where that can be told. */
export function fixFor(path: KeyPath, value: unknown, expected: string, wrongType: boolean): string {
  const key = typeof path.at(-1) === "string" ? String(path.at(-1)) : undefined;
  if (isEmpty(value)) return "Set a value, or remove the key.";
  if (typeof value === "string" && value.length > MOST_SHOWN) return `Write ${expected}.`;
  if (expected === "`NAME=value`") return assignment(value);
  if (isScalar(value) && typeof value !== "string" && expected.startsWith("a string"))
    return `Quote the value: "${value}".`;
  if (/^\d+$/.test(String(value)) && expected.startsWith("a duration")) return `Add a unit: \`${key}: ${value}s\`.`;
  if (wrongType && typeof value === "string" && /^-?\d+(?:\.\d+)?$/.test(value) && /number|integer/.test(expected)) {
    return `Remove the quotes: ${value}.`;
  }
  if (isScalar(value) && expected.startsWith("a list")) {
    const isCommand = key === "command" && typeof value === "string" && !/["'\\$]/.test(value);
    const items = isCommand ? String(value).trim().split(/\s+/) : [value];
    return key === undefined ? "Write it as a list." : `Write \`${key}: [${items.map(flow).join(", ")}]\`.`;
  }
  if (key === "buffer" && (value === "disk" || value === "memory")) return `Write \`buffer: { type: ${value} }\`.`;
  if (Array.isArray(value) && expected.startsWith("a mapping")) return asMapping(key, value);
  return `Write ${expected}.`;
}

type Scalar = string | number | boolean;

function isScalar(value: unknown): value is Scalar {
  return typeof value === "string" || typeof value === "number" || typeof value === "boolean";
}

function asMapping(key: string | undefined, items: readonly unknown[]): string {
  const pairs = key === "with" ? settings(items) : undefined;
  if (pairs === undefined) return "Write each item as `<id>:` with its keys indented below it, without `-`.";
  return `Write \`with: { ${pairs.map(([name, value]) => `${name}: ${flow(value)}`).join(", ")} }\`.`;
}

/** `[a, 1]`, `[a=1]` and `[{ a: 1 }]` as settings with their values; undefined for any other list, and for one that is long. */
function settings(items: readonly unknown[]): readonly (readonly [string, Scalar])[] | undefined {
  if (items.length > 8) return undefined;
  const isName = (value: unknown): value is string => typeof value === "string" && /^[a-z]\w*$/.test(value);
  if (items.length % 2 === 0 && items.every((item, index) => (index % 2 === 0 ? isName(item) : isScalar(item)))) {
    return Array.from({ length: items.length / 2 }, (_, index) => [
      String(items[2 * index]),
      items[2 * index + 1] as Scalar,
    ]);
  }
  const pairs = items.flatMap((item): readonly (readonly [string, unknown])[] => {
    const [, name, text] = typeof item === "string" ? (/^(\w+)=(.*)$/s.exec(item) ?? []) : [];
    if (name !== undefined && text !== undefined) return [[name, /^-?\d{1,15}$/.test(text) ? Number(text) : text]];
    return typeof item === "object" && item !== null ? Object.entries(item) : [["", undefined]];
  });
  const areSettings = pairs.every((pair): pair is readonly [string, Scalar] => isName(pair[0]) && isScalar(pair[1]));
  return areSettings && pairs.length > 0 ? (pairs as readonly (readonly [string, Scalar])[]) : undefined;
}

/** `B: 2` and `{ B: 2 }` in a list of assignments. */
function assignment(value: unknown): string {
  const [name, text] =
    typeof value === "string"
      ? (/^([\w.-]+)(?: *[:=])? +(.*)$/.exec(value)?.slice(1) ?? [])
      : typeof value === "object" && value !== null && !Array.isArray(value)
        ? (Object.entries(value)[0] ?? [])
        : [];
  if (name === undefined || !isScalar(text)) return "Write `NAME=value`.";
  if (String(text).length > MOST_SHOWN) return "Write `NAME=value`.";
  return /\s/.test(String(text)) ? `Write \`"${name}=${text}"\`.` : `Write \`${name}=${text}\`.`;
}

/** A value as it is written within brackets. */
function flow(value: Scalar): string {
  return typeof value !== "string" || /^[A-Za-z_.][\w.-]*$/.test(value) ? String(value) : JSON.stringify(value);
}
