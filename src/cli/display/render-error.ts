import { relative } from "node:path";
import type { ChalkInstance } from "chalk";
import { FlowctlError, messageOf, type SourcePosition } from "../../foundation/errors.ts";
import { exitCodeOf } from "../exit-codes.ts";

export interface ErrorView {
  readonly paint: ChalkInstance;
  /** Files are named relative to it where they are below it. */
  readonly cwd: string;
  /** Show the stack and every cause. */
  readonly debug: boolean;
  /** Makes the commands in a fix be about the pipeline that the command was about; default: as they are. */
  readonly retyped?: ((text: string) => string) | undefined;
}

/** An error for people: what, where, how to mend it, and its code. No stack unless asked for. */
export function renderError(error: unknown, view: ErrorView): string {
  const { paint, retyped = (text) => text } = view;
  const known = error instanceof FlowctlError;
  const lines = [`${paint.red.bold("error:")} ${messageOf(error)}`];
  if (known && error.position !== undefined) lines.push(`  ${paint.dim("at")}   ${placeOf(error.position, view.cwd)}`);
  if (known && error.path !== undefined) lines.push(`  ${paint.dim("in")}   ${error.path}`);
  if (known && error.fix !== undefined) lines.push(`  ${paint.dim("fix")}  ${retyped(error.fix)}`);
  lines.push(`  ${paint.dim("code")} ${known ? error.code : "internal/unexpected"}`);
  if (!known && !view.debug) lines.push(`  ${paint.dim("This is a bug in flowctl; FLOWCTL_DEBUG=1 shows where.")}`);
  if (view.debug) lines.push(...stacks(error));
  return lines.join("\n");
}

/** The same as plain data, for `--json`. */
export function errorDocument(
  error: unknown,
  { retyped = (text) => text }: Pick<ErrorView, "retyped"> = {},
): Readonly<Record<string, unknown>> {
  const known = error instanceof FlowctlError ? error : undefined;
  return {
    error: {
      code: known?.code ?? "internal/unexpected",
      kind: known?.kind ?? "internal",
      message: messageOf(error),
      ...(known?.fix === undefined ? {} : { fix: retyped(known.fix) }),
      ...(known?.position === undefined ? {} : { position: known.position }),
      ...(known?.path === undefined ? {} : { path: known.path }),
      exitCode: exitCodeOf(error),
    },
  };
}

/** `file:line:column`, the file relative to `cwd` where it is below it. */
export function placeOf(position: SourcePosition, cwd: string): string {
  const near = relative(cwd, position.file);
  const file = near === "" || near.startsWith("..") ? position.file : near;
  return `${file}:${position.line}:${position.column}`;
}

function stacks(error: unknown): readonly string[] {
  const lines: string[] = [];
  for (let current: unknown = error; current instanceof Error; current = current.cause) {
    lines.push(lines.length === 0 ? (current.stack ?? "") : `caused by ${current.stack ?? current.message}`);
  }
  return lines;
}
