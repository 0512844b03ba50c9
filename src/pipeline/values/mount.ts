import { posix } from "node:path";

/** A mount of the short syntax, its source as it was written. */
export interface ShortMount {
  readonly type: "bind" | "volume";
  readonly source?: string;
  readonly target: string;
  readonly readOnly: boolean;
}

/** `source:target[:ro|rw]`, or a target alone. A text says what is wrong with it. */
export function parseMount(text: string): ShortMount | string {
  const parts = text.split(":");
  if (parts.length > 3) return "expected source:target[:ro]";
  const [first = "", second, options] = parts;
  const target = second ?? first;
  if (!posix.isAbsolute(target)) return `the path in the container, \`${target}\`, is not absolute`;
  const flags = options?.split(",") ?? [];
  const unknown = flags.find((flag) => flag !== "ro" && flag !== "rw");
  if (unknown !== undefined) return `unsupported option \`${unknown}\`; use \`ro\` or \`rw\``;
  const readOnly = flags.includes("ro");
  if (second === undefined) return { type: "volume", target, readOnly };
  if (first === "") return "the source before `:` is missing";
  return { type: isHostPath(first) ? "bind" : "volume", source: first, target, readOnly };
}

/** Whether the source of a mount is a path and not the name of a volume. */
export function isHostPath(source: string): boolean {
  return source.startsWith(".") || source.startsWith("/") || source.startsWith("~");
}
