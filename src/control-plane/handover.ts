import type { ComponentSpec, InputSpec, PipelineSpec } from "../protocol/records.ts";

/**
 * How far the instances above an input are: whether each of them that runs has said that it settled the mark there. One that does not run
 * counts: it hears of everything when it comes back, before it sends anything.
 */
export type IsSettled = (from: ComponentSpec, to: string, mark: number) => boolean;

/**
 * A change in which some components send to somebody new, and others send to somebody no more. They hear of it at different moments: what has
 * passed the first before they heard, and has not come to the others when they do, would go neither way. So the old ways go on at first
 * (`InputSpec.ending`), in two stages:
 *
 * 1. *begin*: until everybody who sends to somebody new has said that it knows;
 * 2. *catch up*: until everything has passed the old ways that was above them then, so that nothing comes there any more that has not
 *    gone, or will not go, the new way.
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
  const flows = (from: string, to: string): boolean =>
    known.get(to)?.inputs.some((input) => input.from === from && !input.draining && !isPending(before, input)) ?? false;
  const starts = edges(spec).filter(({ from, to, input }) => !input.draining && known.has(from) && !flows(from, to));
  const cuts = edges(spec).filter(({ from, to, input }) => input.draining && wasWanted(known.get(to), from));
  const wasBegun = cuts.some(({ from, to }) =>
    known.get(to)?.inputs.some((input) => input.from === from && input.ending),
  );
  if (starts.length === 0 && !wasBegun) return { ...spec, ...(marks === 0 ? {} : { marks }) };
  const places = new Set([...starts, ...cuts].map(({ from }) => from));
  const mark = marks + 1;
  const handed = (goOn: ReadonlySet<InputSpec>): PipelineSpec => ({
    ...spec,
    handover: { mark, stage: "begin" },
    // The second stage has one of its own.
    marks: mark + 1,
    components: withInputs(spec, (input) => {
      if (goOn.has(input)) return ending(input);
      return begin.has(input) ? { ...input, mark } : input;
    }),
  });
  const begin = new Set(starts.map(({ input }) => input));
  if (places.size < 2 && !wasBegun) return handed(new Set());
  const careful = handed(new Set(cuts.map(({ input }) => input)));
  // Old ways and new ones together may lead in a circle, in which events would go round.
  return hasCircle(careful) ? handed(new Set()) : careful;
}

/** The spec at the next stage, if this one is over; the same spec, if it is not. Pure. */
export function advanceHandover(spec: PipelineSpec, isSettled: IsSettled): PipelineSpec {
  const { handover } = spec;
  if (handover === undefined) return spec;
  const { mark, stage } = handover;
  const byId = new Map(spec.components.map((component) => [component.id, component]));
  const awaited = edges(spec).filter(({ input }) => input.mark === mark);
  const isOver = awaited.every(({ from, to }) => {
    const above = byId.get(from);
    return above === undefined || isSettled(above, to, mark);
  });
  if (!isOver) return spec;
  if (stage === "catch up") return finished(spec);
  const above = aboveOldWays(spec);
  const next = mark + 1;
  const components = withInputs(spec, (input, to) => {
    const { mark: _, ...rest } = input;
    return above.has(to) && !input.draining && byId.has(input.from) ? { ...rest, mark: next } : rest;
  });
  return advanceHandover({ ...spec, components, handover: { mark: next, stage: "catch up" } }, isSettled);
}

/** The old ways drain. */
function finished(spec: PipelineSpec): PipelineSpec {
  const { handover: _, ...rest } = spec;
  const components = withInputs(spec, ({ mark: __, ending: isEnding, ...input }) =>
    isEnding ? { ...input, draining: true } : input,
  );
  return { ...rest, components };
}

/** Whoever still sends an old way, and everything above it. */
function aboveOldWays(spec: PipelineSpec): ReadonlySet<string> {
  const found = new Set(edges(spec).flatMap(({ from, input }) => (input.ending ? [from] : [])));
  for (let size = -1; size !== found.size; ) {
    size = found.size;
    for (const { from, to, input } of edges(spec)) if (found.has(to) && !input.draining) found.add(from);
  }
  return found;
}

interface InputEdge {
  readonly from: string;
  readonly to: string;
  readonly input: InputSpec;
}

function edges({ components }: PipelineSpec): readonly InputEdge[] {
  return components.flatMap(({ id, inputs }) => inputs.map((input) => ({ from: input.from, to: id, input })));
}

function withInputs(
  { components }: PipelineSpec,
  change: (input: InputSpec, to: string) => InputSpec,
): readonly ComponentSpec[] {
  return components.map((component) => ({
    ...component,
    inputs: component.inputs.map((input) => change(input, component.id)),
  }));
}

/** Whether it is not known yet that the input begins to be fed. */
function isPending({ handover }: PipelineSpec, { mark }: InputSpec): boolean {
  return handover?.stage === "begin" && mark === handover.mark;
}

function wasWanted(before: ComponentSpec | undefined, from: string): boolean {
  return before?.inputs.some((input) => input.from === from && !input.draining) ?? false;
}

function ending({ draining: _, ...input }: InputSpec): InputSpec {
  return { ...input, ending: true };
}

function hasCircle(spec: PipelineSpec): boolean {
  const live = edges(spec).filter(({ input }) => !input.draining);
  let left = new Set(spec.components.map(({ id }) => id));
  for (;;) {
    const next = new Set([...left].filter((id) => live.some(({ from, to }) => to === id && left.has(from))));
    if (next.size === left.size) return left.size > 0;
    left = next;
  }
}
