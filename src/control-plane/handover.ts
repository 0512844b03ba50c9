import type { ComponentSpec, InputSpec, PipelineSpec } from "../protocol/records.ts";
import { edgesOf } from "./topology.ts";

/** What the instances that run have said. One that does not run hears of everything when it comes back, before it sends anything. */
export interface Heard {
  /** Whether each that runs of the component knows of this mark, and so sends as the topology said with it. */
  knows(from: ComponentSpec, mark: number): boolean;
  /** Whether nothing is owed to the group any more from before the mark, by those that run, and on the disks of those that do not. */
  hasSettled(from: ComponentSpec, to: string, mark: number): boolean;
}

/**
 * A change in which some components send something to somebody who did not get it from there, and others send it to somebody no more. They
 * hear of it at different moments: what has passed the first before they heard, and has not come to the others when they do, would go
 * neither way. So the old ways go on at first (`InputSpec.ending`, `InputSpec.wide`), in two stages:
 *
 * 1. *begin*: until everybody who sends something new has said that it knows;
 * 2. *catch up*: until everything has passed the old ways that was above them then, so that nothing comes there any more that has not
 *    gone, or will not go, the new way. What acknowledges before it has passed on, such as a buffer on disk, is asked only when
 *    everything above it has caught up.
 *
 * Then they drain. Meanwhile an event may come both ways. Where only one component has to hear of the change, as when a processor is
 * put in or taken out, the old ways drain at once: it hears of both together. That it has heard has to be known all the same, before
 * a later change may count on it. Pure.
 *
 * @param spec As `transitionOf` gives it.
 */
export function withHandover(before: PipelineSpec, spec: PipelineSpec): PipelineSpec {
  const marks = before.marks ?? 0;
  const known = new Map(before.components.map((component) => [component.id, component]));
  const flowOf = (edge: InputEdge): InputSpec | undefined =>
    known.get(edge.to)?.inputs.find((input) => input.from === edge.from && !input.draining);
  const all = edges(spec).filter(({ from }) => known.has(from));
  const starts = all.filter((edge) => {
    const flow = flowOf(edge);
    if (edge.input.draining) return false;
    return flow === undefined || isPending(before, flow) || !covers(takenBy(flow), edge.input.types);
  });
  const cuts = all.filter((edge) => {
    const flow = flowOf(edge);
    return flow !== undefined && (edge.input.draining || !covers(edge.input.types, takenBy(flow)));
  });
  const wasBegun = cuts.some((edge) => flowOf(edge)?.ending || flowOf(edge)?.wide !== undefined);
  if (starts.length === 0 && !wasBegun) return { ...spec, ...(marks === 0 ? {} : { marks }) };
  const mark = marks + 1;
  const begin = new Set(starts.map(({ input }) => input));
  const goOn = new Map(cuts.map((edge) => [edge.input, goingOn(edge.input, takenBy(flowOf(edge)!))]));
  const handed = (old: ReadonlyMap<InputSpec, InputSpec>): PipelineSpec => ({
    ...spec,
    handover: { mark, stage: "begin", done: [] },
    marks: mark,
    components: withInputs(spec, (input) => {
      const held = old.get(input) ?? input;
      return begin.has(input) ? { ...held, mark } : held;
    }),
  });
  const places = new Set([...starts, ...cuts].map(({ from }) => from));
  if (places.size < 2 && !wasBegun) return handed(new Map());
  const careful = handed(goOn);
  // Old ways and new ones together may lead in a circle, in which events would go round.
  return hasCircle(careful) ? handed(new Map()) : careful;
}

/** The spec at the next stage, if this one is over; the same spec, if it is not. Pure. */
export function advanceHandover(spec: PipelineSpec, heard: Heard): PipelineSpec {
  const { handover } = spec;
  if (handover === undefined) return spec;
  const { mark, stage, done } = handover;
  const byId = new Map(spec.components.map((component) => [component.id, component]));
  const awaited = edges(spec).filter(({ from, input }) => input.mark === mark && byId.has(from));
  const isOver = awaited.every(({ from, to }) => {
    const above = byId.get(from)!;
    return stage === "begin" ? heard.knows(above, mark) : heard.hasSettled(above, to, mark);
  });
  if (!isOver) return spec;
  return catchUp(spec, stage === "begin" ? [] : [...done, ...awaited.map(keyOf)], heard);
}

/** Marks what is to be waited for next. `done`: where everything has passed that was there when everybody knew. */
function catchUp(spec: PipelineSpec, done: readonly string[], heard: Heard): PipelineSpec {
  const live = edges(spec).filter(({ input }) => !input.draining);
  const above = aboveOldWays(live);
  const isFed = new Set(live.map(({ to }) => to));
  // All others acknowledge only what has been acknowledged below.
  const open = live.filter(
    (edge) =>
      above.has(edge.to) && (!isFed.has(edge.from) || acknowledgesEarly(edge.input)) && !done.includes(keyOf(edge)),
  );
  if (open.length === 0) return finished(spec);
  const waits = ({ from }: InputEdge): boolean => {
    const before = withAbove(new Set([from]), live);
    return open.some(({ to }) => before.has(to));
  };
  const next = new Set(open.filter((edge) => !waits(edge)).map(({ input }) => input));
  const mark = (spec.marks ?? 0) + 1;
  const components = withInputs(spec, (input) => {
    const { mark: _, ...rest } = input;
    return next.has(input) ? { ...rest, mark } : rest;
  });
  return advanceHandover({ ...spec, components, marks: mark, handover: { mark, stage: "catch up", done } }, heard);
}

/** The old ways drain. */
function finished(spec: PipelineSpec): PipelineSpec {
  const { handover: _, ...rest } = spec;
  const components = withInputs(spec, ({ mark: __, wide: ___, ending: isEnding, ...input }) =>
    isEnding ? { ...input, draining: true } : input,
  );
  return { ...rest, components };
}

interface InputEdge {
  readonly from: string;
  readonly to: string;
  readonly input: InputSpec;
}

const keyOf = ({ from, to }: InputEdge): string => `${from}>${to}`;

function edges({ components }: PipelineSpec): readonly InputEdge[] {
  return components.flatMap(({ id, inputs }) => inputs.map((input) => ({ from: input.from, to: id, input })));
}

function withInputs({ components }: PipelineSpec, change: (input: InputSpec) => InputSpec): readonly ComponentSpec[] {
  return components.map((component) => ({ ...component, inputs: component.inputs.map(change) }));
}

/** Whoever still sends an old way, and everything above it. */
function aboveOldWays(live: readonly InputEdge[]): ReadonlySet<string> {
  const old = live.filter(({ input }) => input.ending || input.wide !== undefined);
  return withAbove(new Set(old.map(({ from }) => from)), live);
}

function withAbove(ids: ReadonlySet<string>, live: readonly InputEdge[]): ReadonlySet<string> {
  const found = new Set(ids);
  for (let size = -1; size !== found.size; ) {
    size = found.size;
    for (const { from, to } of live) if (found.has(to)) found.add(from);
  }
  return found;
}

/** Whether it is not known yet that the input is fed as it is to be. */
function isPending({ handover }: PipelineSpec, { mark }: InputSpec): boolean {
  return handover?.stage === "begin" && mark === handover.mark;
}

/** The types that come now; none: all. */
function takenBy({ types, wide }: InputSpec): readonly string[] {
  return wide ?? types;
}

export function covers(types: readonly string[], others: readonly string[]): boolean {
  return types.length === 0 || (others.length > 0 && others.every((type) => types.includes(type)));
}

/** The input as it takes what it took before, besides what it is to take. */
function goingOn({ draining, ...input }: InputSpec, taken: readonly string[]): InputSpec {
  if (draining) return { ...input, types: taken, ending: true };
  const isAll = taken.length === 0 || input.types.length === 0;
  return { ...input, wide: isAll ? [] : [...new Set([...taken, ...input.types])] };
}

/** Whether its queue counts as acknowledged before the component below has anything of it. */
function acknowledgesEarly({ buffer, hadDisk }: InputSpec): boolean {
  return hadDisk === true || buffer?.type === "disk" || (buffer !== undefined && buffer.whenFull !== "block");
}

function hasCircle(spec: PipelineSpec): boolean {
  const live = edgesOf(spec).filter(({ draining }) => !draining);
  let left = new Set(spec.components.map(({ id }) => id));
  for (;;) {
    const next = new Set([...left].filter((id) => live.some(({ from, to }) => to.id === id && left.has(from.id))));
    if (next.size === left.size) return left.size > 0;
    left = next;
  }
}
