import { type ComponentSpec, type InputSpec, instanceIdsOf, type PipelineSpec } from "../protocol/records.ts";
import { covers, withHandover } from "./handover.ts";
import { edgesOf } from "./topology.ts";

/** What is known of the instances of a pipeline. */
export interface Running {
  /** Whether the instance is registered, well or not. */
  isLive(componentId: string, instanceId: string): boolean;
  /** Whether the driver has the instance, running or not. */
  exists(instanceId: string): boolean;
  /** Whether its program was started, and may be expected to register: in the end it does, or is not starting any more. */
  isStarting(componentId: string, instanceId: string): boolean;
  /** Whether the instance runs and is well, so that it can hand on what it holds. */
  runs(componentId: string, instanceId: string): boolean;
  /** Whether it ends by itself when it is told to leave. */
  leaves(componentId: string, instanceId: string): boolean;
  /** Whether the instances of a component stop feeding a group that is to drain. */
  drains(componentId: string): boolean;
  /** Whether it may have something in a buffer on disk: it has run, and has not completed. */
  hasRest(componentId: string, instanceId: string): boolean;
  /** Whether `upstream` holds events that the component has not taken. */
  owes(upstream: string, componentId: string): boolean;
}

/** Events that would be lost: what `name` was to take from `upstream`, or what it holds itself where that is undefined. */
export interface Stranded {
  /** Of a component or of an instance. */
  readonly name: string;
  readonly upstream: string | undefined;
  /** `upstream` runs, and forgets what it owes as soon as the edge is gone: it does not support draining. */
  readonly cannotDrain?: true;
  /** Where `upstream` may have them, so that whatever takes the place of `name` cannot have them: a buffer on its disk, or its dead letters. */
  readonly cannotMove?: "disk" | "dead letters";
}

export interface Transition {
  /** The spec in force from now on: `next`, and of `before` what still has something to hand on, marked as such. */
  readonly spec: PipelineSpec;
  /** What nobody would deliver. Empty for a change that loses nothing. */
  readonly stranded: readonly Stranded[];
  /** Instances of what is stranded that are starting: once they run they may hand it on. */
  readonly starting: readonly string[];
  /** What is wanted again and was told to leave: nobody can take that back, so the change has to wait until it has left. */
  readonly waits: readonly string[];
}

/**
 * How a pipeline goes from one file to the next without losing what it has accepted. Pure.
 *
 * - An edge that is gone between two components that stay *drains*: it takes nothing new, and delivers what it owes.
 * - A component that is gone and has something below that stays *leaves*: its inputs drain, it hands on what comes of that,
 *   and it completes. One that only fed what is gone as well is not needed by anybody, and goes at once.
 * - What is owed to a component that is gone and cannot take it (none of its instances runs) goes to the new edges of
 *   whoever owes it: they take its place. Where there are none it is stranded.
 * - A component that is gone and that nobody below needs, such as a sink, is followed by the new edges of whoever owes it something, in
 *   the same way. Where there are none, that is given up: the file has nobody for it.
 *
 * What an earlier transition has not finished goes on in the new one. With `goingBack`, what is gone is only of the change that did not
 * work: where it stood in nobody's place, what it was to take, and what it holds, is given up.
 */
export function transitionOf(
  before: PipelineSpec | undefined,
  next: PipelineSpec,
  running: Running,
  goingBack = false,
): Transition {
  if (before === undefined) return { spec: next, stranded: [], starting: [], waits: [] };
  const staying = new Map(next.components.map((component) => [component.id, component]));
  const gone = before.components.filter(({ id }) => !staying.has(id));
  const needed = neededBelow(before, staying);
  const known = new Map(before.components.map((component) => [component.id, component]));
  // The end of its inputs ends everything but a source, which has to be told.
  const canLeave = ({ id, type, leaving: left, ...rest }: ComponentSpec): boolean =>
    instanceIdsOf({ id, ...rest }).some((instanceId) => {
      // What was leaving already goes on as soon as it runs again.
      if (left === true && running.exists(instanceId)) return true;
      return running.runs(id, instanceId) && (type !== "source" || running.leaves(id, instanceId));
    });
  const goes = (id: string, instanceId: string): boolean => {
    if (known.get(id)?.leavingInstances?.includes(instanceId) && running.exists(instanceId)) return true;
    return running.runs(id, instanceId) && running.leaves(id, instanceId);
  };
  const leaving = new Map(
    whoHandsOn(
      gone.filter((one) => needed.has(one.id) && canLeave(one)),
      before,
      staying,
    ).map((component) => [component.id, component]),
  );
  const newBelowOf = (from: string): readonly ComponentSpec[] =>
    next.components.filter((below) => isNewInput(below, from, known.get(below.id)));
  // Whoever is there without it had every event without it. What a source has read nobody else has.
  const isExtra = ({ type, inputs }: ComponentSpec): boolean =>
    type !== "source" &&
    inputs.every(({ from }) => {
      const above = known.get(from);
      return staying.has(from) ? newBelowOf(from).length === 0 : above === undefined || isExtra(above);
    });
  const unable = gone
    .filter(({ id }) => needed.has(id) && !leaving.has(id))
    .filter((component) => !goingBack || !isExtra(component));
  const stranded: Stranded[] = unable
    .filter((one) => hasBufferBelow(one, before) && instanceIdsOf(one).some((id) => running.hasRest(one.id, id)))
    .map(({ id }) => ({ name: id, upstream: undefined }));
  const heirs = new Map<string, Map<string, string[]>>();
  const unneeded = gone.filter(({ id }) => !needed.has(id));
  // What is below by other ways has had, or will have, every event by those.
  const heirsOf = (component: ComponentSpec, from: string): readonly ComponentSpec[] =>
    newBelowOf(from).filter(({ id }) => !unneeded.includes(component) || !isFedBy(before, id, from));
  stranded.push(...onDiskWithin(unneeded, staying, heirsOf, running));
  // What a component that leaves is still to be given, or has not handed on.
  const hasMore = (id: string): boolean =>
    known.get(id)!.inputs.some(({ from }) => running.owes(from, id) || (leaving.has(from) && hasMore(from)));
  // What a source has read nobody above it can give to what takes its place.
  const mustHandOn = (id: string): boolean => {
    const component = known.get(id);
    return leaving.has(id) || (component?.type === "source" && !staying.has(id) && canLeave(component));
  };
  for (const component of [...unable, ...unneeded]) {
    for (const input of component.inputs) {
      const { from } = input;
      if (!unneeded.includes(component) && !isLossy(input.buffer) && mustHandOn(from)) {
        const onDisk = mayBeOnDisk(input) && instanceIdsOf(known.get(from)!).some((id) => running.hasRest(from, id));
        if (onDisk || running.owes(from, component.id) || hasMore(from))
          stranded.push({ name: component.id, upstream: from });
      }
      if (!staying.has(from)) continue;
      const newBelow = heirsOf(component, from);
      if (newBelow.length === 0 && unneeded.includes(component)) continue;
      if (newBelow.length > 0 && !running.drains(from) && running.owes(from, component.id) && !isLossy(input.buffer)) {
        stranded.push({ name: component.id, upstream: from, cannotDrain: true });
        continue;
      }
      // What is on the disk of the component above is nobody else's to take. What that said last of how much it is does not hold now.
      if (mayBeOnDisk(input)) {
        const above = known.get(from);
        if (above !== undefined && instanceIdsOf(above).some((id) => running.hasRest(from, id))) {
          const followed = unneeded.includes(component);
          stranded.push({ name: component.id, upstream: from, ...(followed ? { cannotMove: "disk" as const } : {}) });
        }
        continue;
      }
      for (const { id } of newBelow) addHeir(heirs, id, from, component.id);
      if (newBelow.length === 0 && running.owes(from, component.id)) {
        stranded.push({ name: component.id, upstream: from });
      }
    }
  }

  for (const { id, onError } of before.components) {
    const target = unneeded.find((one) => onError.action === "dead_letter" && onError.to === one.id);
    const now = staying.get(id)?.onError;
    const moves = now?.action === "dead_letter" && staying.has(now.to);
    if (target !== undefined && moves && running.owes(id, target.id))
      stranded.push({ name: target.id, upstream: id, cannotMove: "dead letters" });
  }

  for (const { id, inputs } of before.components) {
    for (const { from, takesOver = [] } of inputs) {
      if (staying.get(id)?.inputs.some((input) => input.from === from)) continue;
      // Whoever is above may not have heard of it before whoever was to take over is gone as well, or takes nothing there any more.
      const component = known.get(id)!;
      const newBelow = heirsOf(component, from);
      if (newBelow.length === 0 && unneeded.includes(component)) continue;
      for (const removed of takesOver.filter((one) => !staying.has(one))) {
        for (const below of newBelow) addHeir(heirs, below.id, from, removed);
        if (newBelow.length === 0 && staying.has(from) && running.owes(from, removed))
          stranded.push({ name: removed, upstream: from });
      }
    }
  }

  const surplus = new Map(
    next.components.map((component) => [component.id, surplusOf(known.get(component.id), component)]),
  );
  for (const component of next.components) {
    if (!hasBufferBelow(component, before)) continue;
    const lost = surplus.get(component.id)!.filter((id) => !goes(component.id, id));
    stranded.push(
      ...lost.filter((id) => running.hasRest(component.id, id)).map((id) => ({ name: id, upstream: undefined })),
    );
  }

  for (const component of [...next.components, ...leaving.values()]) {
    const ends = leaving.has(component.id)
      ? component.inputs
      : inputsThatEnd(component, known.get(component.id), before, next);
    for (const { from, buffer } of ends) {
      const isCut = staying.has(from) && !running.drains(from) && !isLossy(buffer);
      if (isCut) stranded.push({ name: component.id, upstream: from, cannotDrain: true });
    }
  }

  const present = (id: string): boolean => (staying.has(id) && running.drains(id)) || leaving.has(id);
  const components = [
    ...next.components.map((component) => ({
      ...component,
      ...leavingOf(surplus.get(component.id)!.filter((id) => goes(component.id, id))),
      ...diskOfTargets(component, before, next),
      inputs: [
        ...component.inputs.map((input) =>
          withHeritage(input, known.get(component.id), heirs.get(component.id), staying),
        ),
        ...inputsThatEnd(component, known.get(component.id), before, next)
          .filter(({ from }) => present(from))
          .map((input) => (leaving.has(input.from) ? asStated(input) : draining(input))),
      ],
    })),
    ...[...leaving.values()].map((component) => ({
      ...component,
      leaving: true as const,
      onError:
        staying.has(component.onError.to) || leaving.has(component.onError.to) || component.onError.to === ""
          ? component.onError
          : failing(component),
      inputs: component.inputs
        .filter(({ from }) => present(from))
        .map((input) => (leaving.has(input.from) ? asStated(input) : draining(input))),
    })),
  ];
  const spec = withHandover(before, { ...next, components });
  return { spec, stranded, starting: startingOf(before, stranded, running), waits: waitsOf(before, next, running) };
}

function startingOf(before: PipelineSpec, stranded: readonly Stranded[], running: Running): readonly string[] {
  const down = stranded.filter((one) => one.cannotDrain !== true && one.cannotMove === undefined);
  const names = new Set(down.map(({ name }) => name));
  return before.components.flatMap((component) =>
    instanceIdsOf(component)
      .filter((id) => names.has(component.id) || names.has(id))
      .filter((id) => running.isStarting(component.id, id)),
  );
}

/** Whether something of the spec is still on its way out. */
export function isUnderWay({ components }: PipelineSpec): boolean {
  return components.some(
    ({ leaving, leavingInstances = [], inputs }) =>
      leaving === true ||
      leavingInstances.length > 0 ||
      inputs.some(({ draining: drains, ending }) => drains === true || ending === true),
  );
}

function waitsOf(before: PipelineSpec, next: PipelineSpec, running: Running): readonly string[] {
  const wanted = new Map(next.components.map((component) => [component.id, component]));
  return before.components.flatMap((component) => {
    const again = wanted.get(component.id);
    if (again === undefined) return [];
    const told = component.leaving === true ? instanceIdsOf(component) : (component.leavingInstances ?? []);
    const ids = new Set(instanceIdsOf(again));
    return told.filter((id) => running.isLive(component.id, id) && (component.leaving === true || ids.has(id)));
  });
}

/** Those of the candidates that have somebody below to hand on to: who has not leaves its events to what takes its place. */
function whoHandsOn(
  candidates: readonly ComponentSpec[],
  before: PipelineSpec,
  staying: ReadonlyMap<string, unknown>,
): readonly ComponentSpec[] {
  const edges = edgesOf(before);
  const able = new Set(candidates.map(({ id }) => id));
  const hasBelow = (id: string): boolean =>
    edges.some(({ from, to }) => from.id === id && (staying.has(to.id) || able.has(to.id)));
  for (let size = -1; size !== able.size; ) {
    size = able.size;
    for (const id of able) if (!hasBelow(id)) able.delete(id);
  }
  return candidates.filter(({ id }) => able.has(id));
}

/** Whether events of `above` came to the component before through others. */
function isFedBy(spec: PipelineSpec, componentId: string, above: string): boolean {
  const inputs = new Map(
    spec.components.map(({ id, inputs: own }) => [
      id,
      own.filter((one) => one.draining !== true).map(({ from }) => from),
    ]),
  );
  const seen = new Set<string>();
  const reach = (id: string): boolean => {
    if (seen.has(id)) return false;
    seen.add(id);
    return (inputs.get(id) ?? []).some((from) => from === above || reach(from));
  };
  return inputs.get(componentId)?.some((from) => from !== above && reach(from)) === true;
}

/** What removed components that are followed by others may hold on their disks for each other: those above have had it acknowledged. */
function onDiskWithin(
  removed: readonly ComponentSpec[],
  staying: ReadonlyMap<string, unknown>,
  heirsOf: (component: ComponentSpec, from: string) => readonly unknown[],
  running: Running,
): readonly Stranded[] {
  const byId = new Map(removed.map((component) => [component.id, component]));
  const isFollowed = (component: ComponentSpec): boolean =>
    component.inputs.some(({ from }) => {
      const above = byId.get(from);
      return above === undefined ? staying.has(from) && heirsOf(component, from).length > 0 : isFollowed(above);
    });
  return removed.flatMap((component) =>
    component.inputs
      .filter((input) => {
        const above = byId.get(input.from);
        if (above === undefined || !mayBeOnDisk(input) || !isFollowed(above)) return false;
        return instanceIdsOf(above).some((id) => running.hasRest(above.id, id));
      })
      .map(({ from }) => ({ name: component.id, upstream: from, cannotMove: "disk" as const })),
  );
}

/** The spec without what only an unfinished change keeps: what was applied last. */
export function appliedPart(spec: PipelineSpec): PipelineSpec {
  const left = new Set(spec.components.filter(({ leaving }) => leaving === true).map(({ id }) => id));
  const isApplied = (input: InputSpec): boolean =>
    input.draining !== true && input.ending !== true && !left.has(input.from);
  const { handover: _, marks: __, ...rest } = spec;
  return {
    ...rest,
    components: spec.components
      .filter(({ id }) => !left.has(id))
      .map(({ leavingInstances: ___, hadDiskFor: ____, ...component }) => ({
        ...component,
        inputs: component.inputs.filter(isApplied).map(plain),
      })),
  };
}

/** The spec without a component that has left, and without inputs from it. */
export function withoutComponent(spec: PipelineSpec, componentId: string): PipelineSpec {
  const stays = ({ from }: InputSpec): boolean => from !== componentId;
  return {
    ...spec,
    components: spec.components
      .filter(({ id }) => id !== componentId)
      .map((component) => ({ ...component, inputs: component.inputs.filter(stays) })),
  };
}

/** The spec without instances that have left. */
export function withoutInstances(spec: PipelineSpec, componentId: string, left: readonly string[]): PipelineSpec {
  const components = spec.components.map((component) => {
    if (component.id !== componentId) return component;
    const { leavingInstances = [], ...rest } = component;
    return { ...rest, ...leavingOf(leavingInstances.filter((id) => !left.includes(id))) };
  });
  return { ...spec, components };
}

/** The spec without an input that has drained. */
export function withoutInput(spec: PipelineSpec, componentId: string, from: string): PipelineSpec {
  const stays = (input: InputSpec): boolean => input.from !== from || input.draining !== true;
  return {
    ...spec,
    components: spec.components.map((component) =>
      component.id === componentId ? { ...component, inputs: component.inputs.filter(stays) } : component,
    ),
  };
}

/** Of everything that is gone, what has a component below it that stays. */
function neededBelow(before: PipelineSpec, staying: ReadonlyMap<string, unknown>): ReadonlySet<string> {
  const edges = edgesOf(before);
  const needed = new Set<string>();
  const isNeeded = (id: string): boolean =>
    edges.some(({ from, to }) => from.id === id && (staying.has(to.id) || needed.has(to.id)));
  for (let size = -1; size !== needed.size; ) {
    size = needed.size;
    for (const { id } of before.components) if (!staying.has(id) && isNeeded(id)) needed.add(id);
  }
  return needed;
}

/**
 * Whether events go with an instance that leaves and is taken away before it has completed: what is in a buffer on its
 * disk, or, where it was the last of a component that leaves, what its upstream owes to it and nobody else is to have.
 */
export function takesAlong(
  spec: PipelineSpec,
  component: ComponentSpec,
  { registrations }: { readonly registrations: number },
  others: readonly { readonly live: boolean }[],
): boolean {
  if (hasBufferBelow(component, spec) && registrations > 0) return true;
  return component.leaving === true && !others.some(({ live }) => live);
}

/** Instances that a component had, and has no more; those that were leaving already included. */
function surplusOf(before: ComponentSpec | undefined, next: ComponentSpec): readonly string[] {
  if (before === undefined) return [];
  const wanted = new Set(instanceIdsOf(next));
  return [...instanceIdsOf(before), ...(before.leavingInstances ?? [])].filter((id) => !wanted.has(id));
}

function leavingOf(ids: readonly string[]): Pick<ComponentSpec, "leavingInstances"> {
  return ids.length === 0 ? {} : { leavingInstances: ids };
}

function hasBufferBelow({ id }: ComponentSpec, { components }: PipelineSpec): boolean {
  if (components.some((one) => one.id === id && one.hadDiskFor !== undefined)) return true;
  return components.some(({ inputs }) => inputs.some((input) => input.from === id && mayBeOnDisk(input)));
}

/** Where a component's dead letters go on to a sink whose input from there has ended: what was on the disk for that is delivered with them. */
function diskOfTargets(
  component: ComponentSpec,
  before: PipelineSpec,
  next: PipelineSpec,
): Pick<ComponentSpec, "hadDiskFor"> {
  const { id, onError } = component;
  if (onError.action !== "dead_letter") return {};
  const inputOf = (spec: PipelineSpec): InputSpec | undefined =>
    spec.components.find((one) => one.id === onError.to)?.inputs.find(({ from }) => from === id);
  const earlier = inputOf(before);
  const hadIt = before.components.find((one) => one.id === id)?.hadDiskFor === onError.to;
  const ends = earlier !== undefined && mayBeOnDisk(earlier) && inputOf(next) === undefined;
  return hadIt || ends ? { hadDiskFor: onError.to } : {};
}

/** Whether what waits for the input may be on the disk of the component above, also where the file names another buffer by now. */
export function mayBeOnDisk({ buffer, hadDisk }: InputSpec): boolean {
  return buffer?.type === "disk" || hadDisk === true;
}

/** Who may drop events has not promised to keep them. */
function isLossy(buffer: InputSpec["buffer"]): boolean {
  return buffer !== undefined && buffer.whenFull !== "block";
}

/** Whether it is given something from there that it was not given before. */
function isNewInput(component: ComponentSpec, from: string, before: ComponentSpec | undefined): boolean {
  const input = component.inputs.find((one) => one.from === from);
  if (input === undefined) return false;
  // What drained there took nothing new: what came meanwhile it has not had.
  const flow = before?.inputs.find((one) => one.from === from && one.draining !== true);
  return flow === undefined || !covers(flow.wide ?? flow.types, input.types);
}

function addHeir(heirs: Map<string, Map<string, string[]>>, heir: string, from: string, removed: string): void {
  const inputs = heirs.get(heir) ?? new Map<string, string[]>();
  inputs.set(from, [...(inputs.get(from) ?? []), removed]);
  heirs.set(heir, inputs);
}

/** An input with whether it may have something on disk, and with what it takes over, what it took over before included: who is to hear of it may not have heard yet. */
function withHeritage(
  input: InputSpec,
  before: ComponentSpec | undefined,
  heritage: ReadonlyMap<string, readonly string[]> | undefined,
  staying: ReadonlyMap<string, unknown>,
): InputSpec {
  const known = before?.inputs.find(({ from }) => from === input.from);
  const earlier = known?.draining === true ? [] : (known?.takesOver ?? []);
  // Whoever is there again is owed its events itself.
  const gone = earlier.filter((id) => !staying.has(id));
  const all = [...new Set([...gone, ...(heritage?.get(input.from) ?? [])])];
  return {
    ...input,
    ...(all.length === 0 ? {} : { takesOver: all }),
    ...(known !== undefined && mayBeOnDisk(known) && input.buffer?.type !== "disk" ? { hadDisk: true as const } : {}),
  };
}

/** From where a component had events before, dead letters included, and has none any more. */
function inputsThatEnd(
  component: ComponentSpec,
  known: ComponentSpec | undefined,
  before: PipelineSpec,
  next: PipelineSpec,
): readonly InputSpec[] {
  if (known === undefined) return [];
  const still = new Set(edgesOf(next).flatMap(({ from, to }) => (to.id === component.id ? [from.id] : [])));
  const deadLetters = before.components
    .filter(({ id, onError }) => onError.action === "dead_letter" && onError.to === component.id && !feeds(id, known))
    .map(
      ({ id, hadDiskFor }): InputSpec => ({
        ...{ from: id, types: [] },
        ...(hadDiskFor === component.id ? { hadDisk: true } : {}),
      }),
    );
  return [...known.inputs, ...deadLetters].filter(({ from }) => !still.has(from));
}

function feeds(id: string, component: ComponentSpec): boolean {
  return component.inputs.some(({ from }) => from === id);
}

function draining(input: InputSpec): InputSpec {
  return { ...plain(input), ...(input.hadDisk === true ? { hadDisk: true } : {}), draining: true };
}

function plain({ takesOver: _, hadDisk: __, ...input }: InputSpec): InputSpec {
  return asStated(input);
}

/** The input without what only a transition says of it. */
function asStated({ draining: _, ending: __, mark: ___, wide: ____, ...input }: InputSpec): InputSpec {
  return input;
}

/** Its dead-letter target is gone: what it cannot process while it leaves is kept, by failing, not dropped. */
function failing(component: ComponentSpec): ComponentSpec["onError"] {
  return { ...component.onError, action: "fail", to: "" };
}
