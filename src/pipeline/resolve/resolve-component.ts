import { parseDuration } from "../../foundation/duration.ts";
import type { Component, ComponentType, Input, InputBuffer, OnError } from "../pipeline.ts";
import type { KeyPath } from "../problem.ts";
import type { ComponentFile } from "../schema/pipeline-file.ts";
import { parseByteSize } from "../values/byte-size.ts";
import { isTrue, numberOf, withoutUndefined } from "./plain-values.ts";
import { resolveContainer } from "./resolve-container.ts";
import type { Scope } from "./scope.ts";
import { reportAt } from "./scope.ts";

const defaultRetries = 5;
const defaultBackoffMs = 1000;

/** The component at `path`, its `with` as it is written. */
export function resolveComponent(
  scope: Scope,
  path: KeyPath,
  id: string,
  type: ComponentType,
  file: ComponentFile,
): Component {
  return withoutUndefined<Component>({
    id,
    type,
    uses: file.uses,
    with: file.with ?? {},
    hostPaths: [],
    inputs: (file.inputs ?? []).map((input, index) => resolveInput(scope, [...path, "inputs", index], input)),
    consumes: file.consumes ?? [],
    produces: file.produces ?? [],
    replicas: numberOf(file.deploy?.replicas) ?? 1,
    onError: resolveOnError(scope, [...path, "on_error"], file.on_error),
    inheritEnvironment: isTrue(file.inherit_environment) || undefined,
    partitionBy: file.partition_by,
    ...resolveContainer(scope, path, file, "on-failure"),
    // Of a built-in it is known that it writes nothing there.
    readOnly: isTrue(file.read_only, file.uses !== undefined),
  });
}

function resolveInput(scope: Scope, path: KeyPath, input: NonNullable<ComponentFile["inputs"]>[number]): Input {
  if (typeof input === "string") return { from: input, types: [] };
  return withoutUndefined<Input>({
    from: input.from,
    types: input.types ?? [],
    buffer: resolveBuffer(scope, [...path, "buffer"], input.buffer),
  });
}

type BufferFile = Exclude<NonNullable<ComponentFile["inputs"]>[number], string>["buffer"];

function resolveBuffer(scope: Scope, path: KeyPath, file: BufferFile): InputBuffer | undefined {
  if (file === undefined) return undefined;
  const maxBytes = file.max_bytes === undefined ? undefined : parseByteSize(file.max_bytes);
  const maxEvents = numberOf(file.max_events);
  if (maxBytes === undefined && maxEvents === undefined) {
    reportAt(scope, path, {
      code: "pipeline/unbounded-buffer",
      message: "The buffer has no limit",
      fix: "Add `max_events`, `max_bytes`, or both.",
    });
  }
  return withoutUndefined<InputBuffer>({
    type: file.type ?? "memory",
    maxEvents,
    maxBytes,
    whenFull: file.when_full ?? "block",
  });
}

function resolveOnError(scope: Scope, path: KeyPath, file: ComponentFile["on_error"]): OnError {
  const given = typeof file === "string" ? { action: file } : (file ?? { action: "fail" as const });
  if (given.action === "dead_letter" && given.to === undefined) {
    reportAt(scope, path, {
      code: "pipeline/dead-letter-without-target",
      message: "`dead_letter` requires `to`, the sink for the dead letters",
      fix: "Write `on_error: { action: dead_letter, to: <sink> }`.",
    });
  }
  if (given.action !== "dead_letter" && given.to !== undefined) {
    reportAt(scope, [...path, "to"], {
      code: "pipeline/conflicting-keys",
      message: `\`to\` has no effect with the action \`${given.action}\``,
      fix: "Remove `to`, or use the action `dead_letter`.",
    });
  }
  const otherwise = given.action === "retry" ? defaultRetries : 0;
  return withoutUndefined<OnError>({
    action: given.action,
    to: given.action === "dead_letter" ? given.to : undefined,
    retries: numberOf(given.retries) ?? otherwise,
    backoffMs: given.backoff === undefined ? defaultBackoffMs : (parseDuration(given.backoff) ?? defaultBackoffMs),
  });
}
