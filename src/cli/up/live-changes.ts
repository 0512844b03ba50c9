import type { LiveChange } from "../../planner/plan.ts";
import type { BufferSpec, ComponentSpec, InputSpec, OnErrorSpec, PipelineSpec } from "../../protocol/records.ts";

const DECLARED = "only checked; no event is affected";

/**
 * What changes from one spec to the next without anything being started anew, and what that means for events that are under
 * way. Pure. Components that come or go are not here: they are steps of the plan.
 */
export function liveChanges(before: PipelineSpec | undefined, next: PipelineSpec): readonly LiveChange[] {
  if (before === undefined) return [];
  const known = new Map(before.components.map((component) => [component.id, component]));
  return next.components.flatMap((component) => {
    const earlier = known.get(component.id);
    return earlier === undefined ? [] : componentChanges(earlier, component);
  });
}

function componentChanges(before: ComponentSpec, next: ComponentSpec): readonly LiveChange[] {
  const change = (key: string, from: string, to: string, effect: string): LiveChange[] =>
    from === to ? [] : [{ component: next.id, key, from, to, effect }];
  return [
    ...inputChanges(before, next),
    ...change("deploy.replicas", String(before.replicas), String(next.replicas), scaledEffect(before, next)),
    ...change(
      "partition_by",
      before.partitionBy || "none",
      next.partitionBy || "none",
      "takes effect once what is in flight is acknowledged",
    ),
    ...change(
      "on_error",
      onErrorText(before.onError),
      onErrorText(next.onError),
      "holds for the next event that fails",
    ),
    ...change("consumes", typesText(before.consumes), typesText(next.consumes), DECLARED),
    ...change("produces", typesText(before.produces), typesText(next.produces), DECLARED),
    ...change("restart", `${before.maxRestarts} in a row`, `${next.maxRestarts} in a row`, "holds for the next crash"),
  ];
}

function scaledEffect(before: ComponentSpec, next: ComponentSpec): string {
  if (next.type === "source") return "partitions move with their stored positions";
  return next.replicas > before.replicas
    ? "new instances share the input from now on"
    : "what a leaving instance has not begun goes to the others, and it finishes the rest";
}

function inputChanges(before: ComponentSpec, next: ComponentSpec): readonly LiveChange[] {
  const earlier = new Map(before.inputs.map((input) => [input.from, input]));
  const wanted = new Set(next.inputs.map(({ from }) => from));
  const added = next.inputs
    .filter(({ from }) => !earlier.has(from))
    .map(({ from }) => inputChange(next.id, from, "none", "added", `gets what ${from} sends from now on`));
  const removed = before.inputs
    .filter(({ from }) => !wanted.has(from))
    .map(({ from }) => inputChange(next.id, from, "present", "removed", `what ${from} owes it is delivered first`));
  const changed = next.inputs.flatMap((input) => {
    const was = earlier.get(input.from);
    return was === undefined ? [] : sameInputChanges(next.id, was, input);
  });
  return [...added, ...removed, ...changed];
}

function sameInputChanges(component: string, was: InputSpec, is: InputSpec): readonly LiveChange[] {
  const types = (input: InputSpec): string => typesText(input.types);
  const found: LiveChange[] = [];
  const key = `inputs.${is.from}`;
  if (types(was) !== types(is)) {
    const effect = "holds for what is sent from now on; what waits is delivered";
    found.push({ component, key: `${key}.types`, from: types(was), to: types(is), effect });
  }
  if (bufferText(was.buffer) !== bufferText(is.buffer)) {
    const lossy = is.buffer !== undefined && is.buffer.whenFull !== "block";
    const effect = `what waits is delivered first${lossy ? "; at most once from now on" : ""}`;
    found.push({ component, key: `${key}.buffer`, from: bufferText(was.buffer), to: bufferText(is.buffer), effect });
  }
  return found;
}

function inputChange(component: string, input: string, from: string, to: string, effect: string): LiveChange {
  return { component, key: `inputs.${input}`, from, to, effect };
}

function typesText(types: readonly string[]): string {
  return types.length === 0 ? "all" : types.join(", ");
}

function bufferText(buffer: BufferSpec | undefined): string {
  if (buffer === undefined) return "none";
  const limits = [
    ...(buffer.maxEvents > 0 ? [`${buffer.maxEvents} events`] : []),
    ...(buffer.maxBytes > 0 ? [`${buffer.maxBytes} bytes`] : []),
  ];
  return [buffer.type, ...limits, buffer.whenFull].join(" ");
}

function onErrorText({ action, to, retries, backoffMs }: OnErrorSpec): string {
  const parts = [to === "" ? action : `${action} to ${to}`];
  if (retries > 0) parts.push(`${retries} retries`, `backoff ${backoffMs} ms`);
  return parts.join(", ");
}
