import fc from "fast-check";
import { describe, expect, it } from "vitest";
import type { InputSpec, PipelineSpec } from "../protocol/records.ts";
import { advanceHandover } from "./handover.ts";
import { componentSpec } from "./pipeline.fake.ts";
import { edgesOf } from "./topology.ts";
import { isUnderWay, transitionOf, withoutComponent, withoutInput } from "./transition.ts";

/** An event on its way over one edge; done when it was taken there, and all that came of it is done. */
class Copy {
  readonly edge: string;
  readonly event: string;
  readonly parent: Copy | undefined;
  /** It has to be taken, and so many things came of it that are not done. */
  pending = 1;
  isDone = false;

  constructor(edge: string, event: string, parent: Copy | undefined) {
    this.edge = edge;
    this.event = event;
    this.parent = parent;
  }
}

interface Way {
  readonly to: string;
  readonly types: readonly string[];
  readonly draining: boolean;
  readonly mark: number;
  /** It counts as acknowledged above as soon as it is sent, as what is on a disk does. */
  readonly isEarly: boolean;
}

/**
 * A pipeline whose components hear of a change when it pleases them, and hand on events in between: what they know, what is on its way,
 * and what has come to each sink. Acknowledgements go up at once.
 */
class Flow {
  spec: PipelineSpec;
  private readonly knows = new Map<string, readonly Way[]>();
  private readonly queues = new Map<string, Copy[]>();
  private readonly unacknowledged = new Map<string, Set<Copy>>();
  private readonly marks = new Map<string, { readonly mark: number; readonly owed: readonly Copy[] }>();
  /** The largest mark that a component has heard of. */
  private readonly heard = new Map<string, number>();
  readonly arrived = new Map<string, Set<string>>();
  private emitted = 0;

  constructor(spec: PipelineSpec) {
    this.spec = spec;
    for (const { id } of spec.components) this.hear(id);
  }

  get ids(): readonly string[] {
    return this.spec.components.map(({ id }) => id);
  }

  isSource(id: string): boolean {
    return this.spec.components.some((one) => one.id === id && one.type === "source");
  }

  /** The component learns how its surroundings are now. */
  hear(id: string): void {
    const ways = edgesOf(this.spec)
      .filter(({ from }) => from.id === id)
      .map(({ to, types, draining = false, mark = 0, buffer }): Way => {
        const hadDisk = to.inputs.some((input) => input.from === id && input.hadDisk);
        return { to: to.id, types, draining, mark, isEarly: buffer !== undefined || hadDisk };
      });
    for (const { to } of this.knows.get(id) ?? []) {
      if (!ways.some((way) => way.to === to)) this.forget(`${id}>${to}`);
    }
    this.knows.set(id, ways);
    for (const { to, mark } of ways) {
      const edge = `${id}>${to}`;
      this.heard.set(id, Math.max(mark, this.heard.get(id) ?? 0));
      if (mark > (this.marks.get(edge)?.mark ?? 0)) this.marks.set(edge, { mark, owed: [...this.owed(edge)] });
    }
  }

  emit(id: string, type: string): string | undefined {
    if (!this.isSource(id) || !this.knows.has(id)) return undefined;
    const event = `${id}${++this.emitted}${type}`;
    this.send(id, event, undefined);
    return event;
  }

  /** Takes the oldest event of one edge to its end. Returns whether there was one. */
  take(edge: string): boolean {
    const to = edge.split(">")[1]!;
    const ways = this.knows.get(to);
    const copy = ways === undefined ? undefined : this.queues.get(edge)?.shift();
    if (copy === undefined) return false;
    const arrived = this.arrived.get(to) ?? new Set();
    this.arrived.set(to, arrived.add(copy.event));
    this.send(to, copy.event, copy);
    this.done(copy);
    return true;
  }

  get edges(): readonly string[] {
    return [...this.queues.keys()];
  }

  /** Goes to another file, if that loses nothing and waits for nobody. Returns whether it did. */
  change(next: PipelineSpec): boolean {
    const yes = (): boolean => true;
    const running = {
      ...{ isLive: yes, exists: yes, isStarting: () => false, runs: yes, leaves: yes },
      ...{ drains: yes, hasRest: yes, owes: yes },
    };
    const { spec, stranded, waits } = transitionOf(this.spec, next, running);
    if (stranded.length > 0 || waits.length > 0) return false;
    this.spec = spec;
    for (const id of [...this.knows.keys()]) if (!this.ids.includes(id)) this.die(id);
    return true;
  }

  /** The control plane hears from everybody, and goes on. */
  advance(): void {
    let next = advanceHandover(this.spec, {
      knows: ({ id }, mark) => (this.heard.get(id) ?? 0) >= mark,
      hasSettled: ({ id }, to, mark) => {
        const known = this.marks.get(`${id}>${to}`);
        return known !== undefined && known.mark >= mark && known.owed.every(({ isDone }) => isDone);
      },
    });
    for (const { from, to, draining } of edgesOf(next)) {
      const knowsIt = this.knows.get(from.id)?.some((way) => way.to === to.id && way.draining) ?? false;
      if (draining && knowsIt && this.owed(`${from.id}>${to.id}`).size === 0) next = withoutInput(next, to.id, from.id);
    }
    for (const { id, leaving, inputs, type } of next.components) {
      const isFed = inputs.some(({ from }) => next.components.some((one) => one.id === from));
      const owes = edgesOf(next).some(({ from, to }) => from.id === id && this.owed(`${id}>${to.id}`).size > 0);
      if (leaving && (type === "source" || !isFed) && !owes) next = withoutComponent(next, id);
    }
    this.spec = next;
    for (const id of [...this.knows.keys()]) if (!this.ids.includes(id)) this.die(id);
  }

  /** The component is taken away: what it has made is gone with it, and what it was given and has not acknowledged is given again. */
  private die(id: string): void {
    this.knows.delete(id);
    for (const [edge, owed] of this.unacknowledged) {
      const [from, to] = edge.split(">");
      if (from === id) {
        for (const copy of owed) copy.isDone = true;
        owed.clear();
        this.queues.delete(edge);
        this.marks.delete(edge);
      } else if (to === id) {
        for (const copy of owed) copy.pending = 1;
        this.queues.set(edge, [...owed]);
      }
    }
  }

  /** The group is gone: nothing is owed to it any more. */
  private forget(edge: string): void {
    this.queues.delete(edge);
    for (const copy of this.owed(edge)) this.finish(copy);
  }

  private owed(edge: string): Set<Copy> {
    const owed = this.unacknowledged.get(edge) ?? new Set();
    this.unacknowledged.set(edge, owed);
    return owed;
  }

  private send(from: string, event: string, parent: Copy | undefined): void {
    for (const { to, draining, types, isEarly } of this.knows.get(from) ?? []) {
      if (draining || (types.length > 0 && !types.includes(event.at(-1)!))) continue;
      const edge = `${from}>${to}`;
      const copy = new Copy(edge, event, isEarly ? undefined : parent);
      if (!isEarly && parent !== undefined) parent.pending++;
      this.owed(edge).add(copy);
      const queue = this.queues.get(edge) ?? [];
      this.queues.set(edge, queue);
      queue.push(copy);
    }
  }

  private done(copy: Copy): void {
    if (copy.isDone) return;
    if (--copy.pending === 0) this.finish(copy);
  }

  private finish(copy: Copy): void {
    if (copy.isDone) return;
    copy.isDone = true;
    this.owed(copy.edge).delete(copy);
    if (copy.parent !== undefined) this.done(copy.parent);
  }
}

const IDS = ["s", "t", "a", "b", "c", "y", "z"];

/** Pipelines in which events go from the left to the right of `IDS`, so that no two of them make a circle. */
const DISK = { type: "disk", maxEvents: 0, maxBytes: 0, whenFull: "block" } as const;

const anyPipeline: fc.Arbitrary<PipelineSpec> = fc
  .tuple(
    fc.array(fc.tuple(fc.nat(IDS.length - 1), fc.nat(IDS.length - 1)), { minLength: 3, maxLength: 12 }),
    fc.array(fc.constantFrom("all", "all", "all", "disk", "A", "B"), { minLength: 1, maxLength: 12 }),
  )
  .map(([pairs, kinds]) => {
    const inputs = new Map<string, Set<string>>();
    for (const [x, y] of pairs) {
      const [from, to] = [Math.min(x, y), Math.max(x, y)];
      // The first two are sources.
      if (from === to || to < 2) continue;
      for (const index of [from, to]) inputs.set(IDS[index]!, inputs.get(IDS[index]!) ?? new Set());
      inputs.get(IDS[to]!)!.add(IDS[from]!);
    }
    // A component that takes nothing any more would be a source from now on.
    for (const id of IDS.slice(2)) {
      if (inputs.get(id)?.size !== 0) continue;
      inputs.delete(id);
      for (const from of inputs.values()) from.delete(id);
    }
    const feeds = (id: string): boolean => [...inputs.values()].some((from) => from.has(id));
    let at = 0;
    const components = [...inputs].map(([id, from]) => ({
      ...componentSpec({ id, type: from.size === 0 ? "source" : feeds(id) ? "processor" : "sink" }),
      inputs: [...from].map((one): InputSpec => {
        const kind = kinds[at++ % kinds.length]!;
        const types = kind === "A" || kind === "B" ? [kind] : [];
        return { from: one, types, ...(kind === "disk" ? { buffer: DISK } : {}) };
      }),
    }));
    return { name: "p", driver: "process", components };
  });

function reaches(spec: PipelineSpec, from: string, to: string, type: string): boolean {
  const inputs = spec.components.find(({ id }) => id === to)?.inputs ?? [];
  return inputs
    .filter(({ types }) => types.length === 0 || types.includes(type))
    .some((input) => input.from === from || reaches(spec, from, input.from, type));
}

type Step = readonly ["emit" | "take" | "hear" | "change" | "advance", number];

const anyStep: fc.Arbitrary<Step> = fc.tuple(
  fc.oneof(
    { weight: 8, arbitrary: fc.constant("emit" as const) },
    { weight: 12, arbitrary: fc.constant("take" as const) },
    { weight: 5, arbitrary: fc.constant("hear" as const) },
    { weight: 2, arbitrary: fc.constant("advance" as const) },
    { weight: 1, arbitrary: fc.constant("change" as const) },
  ),
  fc.nat(),
);

function play(files: readonly PipelineSpec[], steps: readonly Step[]): void {
  const flow = new Flow(files[0]!);
  const applied = [files[0]!];
  const emitted = new Map<string, string[]>();
  let next = 1;
  const pick = <T>(list: readonly T[], number: number): T | undefined => list[number % Math.max(1, list.length)];
  for (const [what, number] of steps) {
    const id = pick(flow.ids, number) ?? "";
    if (what === "hear") flow.hear(id);
    else if (what === "advance") flow.advance();
    else if (what === "take") flow.take(pick(flow.edges, number) ?? ">");
    else if (what === "change") {
      const file = files[next];
      if (file !== undefined && flow.change(file)) applied.push(file);
      next++;
    } else {
      const source = pick(
        flow.ids.filter((one) => flow.isSource(one)),
        number,
      );
      const event = source === undefined ? undefined : flow.emit(source, number % 3 === 0 ? "A" : "B");
      if (event !== undefined) emitted.set(source!, [...(emitted.get(source!) ?? []), event]);
    }
  }
  // Everybody hears of everything, and everything arrives.
  for (let round = 0; round < 30; round++) {
    for (const id of flow.ids) flow.hear(id);
    for (let isMoving = true; isMoving; ) isMoving = flow.edges.map((edge) => flow.take(edge)).some(Boolean);
    flow.advance();
  }
  expect(
    isUnderWay(flow.spec),
    JSON.stringify(flow.spec.components.map(({ id, inputs, leaving }) => ({ id, inputs, leaving }))),
  ).toBe(false);
  expect(flow.spec.handover).toBeUndefined();
  for (const [source, events] of emitted) {
    for (const to of IDS) {
      const demanded = events.filter((event) => applied.every((file) => reaches(file, source, to, event.at(-1)!)));
      const missing = demanded.filter((event) => !flow.arrived.get(to)?.has(event));
      expect(missing, `from ${source} to ${to}`).toEqual([]);
    }
  }
}

describe("a change that moves an input from one running component to another", () => {
  it("loses nothing on its way, whenever the components hear of it", () => {
    fc.assert(
      fc.property(
        fc.array(anyPipeline, { minLength: 2, maxLength: 4 }),
        fc.array(anyStep, { minLength: 20, maxLength: 150, size: "max" }),
        play,
      ),
      { numRuns: Number(process.env.FLOWCTL_PROPERTY_RUNS ?? 1_000) },
    );
  });

  it.each([
    ["", true],
    [", also where the new file does not name it", false],
  ])("waits for what comes onto a disk of the old way only when everything above that has caught up%s", (_, stays) => {
    const file = (m: string, isOnDisk = true): PipelineSpec => ({
      name: "p",
      driver: "process",
      components: [
        componentSpec({ id: "s", type: "source" }),
        componentSpec({ id: "w", type: "processor" }, "s"),
        {
          ...componentSpec({ id: "x", type: "processor" }),
          inputs: [{ from: "w", types: [], ...(isOnDisk ? { buffer: DISK } : {}) }],
        },
        componentSpec({ id: "n", type: "processor" }, "s"),
        componentSpec({ id: "m", type: "sink" }, m),
        componentSpec({ id: "q", type: "sink" }, "n"),
        componentSpec({ id: "y", type: "sink" }, "x"),
      ],
    });
    const flow = new Flow(file("x"));
    expect(flow.change(file("n", stays))).toBe(true);
    const event = flow.emit("s", "A")!;
    flow.take("s>n");
    for (const id of ["s", "n"]) flow.hear(id);
    flow.advance();
    // The component with the disk hears of everything while the event is still above it.
    for (const id of ["s", "w", "x"]) flow.hear(id);
    flow.take("s>w");
    flow.advance();
    flow.hear("x");
    flow.take("w>x");
    for (let round = 0; round < 5; round++) {
      for (const id of flow.ids) flow.hear(id);
      for (const edge of flow.edges) flow.take(edge);
      flow.advance();
    }
    expect(flow.arrived.get("m")).toEqual(new Set([event]));
    expect(isUnderWay(flow.spec)).toBe(false);
  });
});
