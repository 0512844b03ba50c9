import fc from "fast-check";
import { describe, expect, it } from "vitest";
import type { ComponentSpec, PipelineSpec } from "../protocol/records.ts";
import { advanceHandover, type Heard } from "./handover.ts";
import { componentSpec } from "./pipeline.fake.ts";
import {
  appliedPart,
  type Running,
  transitionOf,
  withoutComponent,
  withoutInput,
  withoutInstances,
} from "./transition.ts";

/** `a > b > c, a > d`: components that begin with `s` are sources, those that end a path sinks. */
function pipeline(text: string): PipelineSpec {
  const inputs = new Map<string, Set<string>>();
  const feeding = new Set<string>();
  for (const path of text.split(",")) {
    const ids = path.split(">").map((id) => id.trim());
    for (const [index, id] of ids.entries()) {
      const own = inputs.get(id) ?? new Set<string>();
      inputs.set(id, own);
      if (index === 0) continue;
      own.add(ids[index - 1]!);
      feeding.add(ids[index - 1]!);
    }
  }
  const type = (id: string): ComponentSpec["type"] =>
    inputs.get(id)!.size === 0 ? "source" : feeding.has(id) ? "processor" : "sink";
  return {
    name: "p",
    driver: "process",
    components: [...inputs].map(([id, from]) => componentSpec({ id, type: type(id) }, ...from)),
  };
}

/** The same notation back: `~>` is an edge that drains, `+>` one that goes on until what takes its place has caught up, `(x)` a component that leaves, `[x]` what an input takes over. */
function shown({ components }: PipelineSpec): readonly string[] {
  const leaving = new Set(components.filter((one) => one.leaving === true).map(({ id }) => id));
  const name = (id: string): string => (leaving.has(id) ? `(${id})` : id);
  return components
    .flatMap(({ id, inputs }) =>
      inputs.map(({ from, draining, ending, takesOver }) => {
        const heritage = takesOver === undefined ? "" : `[${takesOver.join(" ")}]`;
        return `${name(from)} ${draining ? "~>" : ending ? "+>" : ">"} ${name(id)}${heritage}`;
      }),
    )
    .sort();
}

const yes = (): boolean => true;
const no = (): boolean => false;
const everybodySaid: Heard = { knows: yes, hasSettled: yes };
const runs: Running = {
  ...{ isLive: yes, exists: yes, isStarting: no, runs: yes, leaves: yes },
  ...{ drains: yes, hasRest: yes, owes: yes },
};
const isDown: Running = { ...runs, isLive: no, exists: no, runs: no };
const isDownAndIdle: Running = { ...isDown, owes: no };

const change = (before: string, next: string, running: Running = runs): readonly string[] =>
  shown(transitionOf(pipeline(before), pipeline(next), running).spec);

describe("the transition from one file to the next", () => {
  it("is the next file alone where there was none before", () => {
    const next = pipeline("s > a > z");
    expect(transitionOf(undefined, next, runs)).toEqual({ spec: next, stranded: [], starting: [], waits: [] });
  });

  it("changes nothing for the same file", () => {
    expect(change("s > a > z, s > y", "s > a > z, s > y")).toEqual(["a > z", "s > a", "s > y"]);
  });

  it("lets a processor that was taken out finish what it was given", () => {
    expect(change("s > a > z", "s > z")).toEqual(["(a) > z", "s > z", "s ~> (a)"]);
  });

  it("drains the direct way when a processor is put in", () => {
    expect(change("s > z", "s > a > z")).toEqual(["a > z", "s > a", "s ~> z"]);
  });

  it("takes a renamed processor for one that leaves and one that comes", () => {
    expect(change("s > a > z", "s > b > z")).toEqual(["(a) > z", "b > z", "s > b", "s ~> (a)"]);
  });

  it("lets a chain that was taken out end from its beginning to its end", () => {
    expect(change("s > a > b > z", "s > z")).toEqual(["(a) > (b)", "(b) > z", "s > z", "s ~> (a)"]);
  });

  describe("where a removed component cannot take what it is owed", () => {
    const isBroken = (id: string): boolean => id === "b";
    const bIsDown: Running = {
      ...runs,
      isLive: (id) => !isBroken(id),
      exists: (id) => id !== "b-1",
      runs: (id) => !isBroken(id),
    };

    it("has the events of those above it that are removed, too, go to what takes their place", () => {
      const { spec, stranded } = transitionOf(pipeline("s > p > b > z"), pipeline("s > z"), bIsDown);
      expect(stranded).toEqual([]);
      expect(shown(spec)).toEqual(["s > z[p]"]);
    });

    it("names what a removed source has emitted to it, which nobody else has", () => {
      const [before, next] = [pipeline("s > b > z, t > z"), pipeline("t > z")];
      expect(transitionOf(before, next, bIsDown).stranded).toEqual([{ name: "b", upstream: "s" }]);
      expect(transitionOf(before, next, { ...bIsDown, owes: no, hasRest: no }).stranded).toEqual([]);
    });

    it("names what one above it that leaves by another way owes to it, or would come to owe", () => {
      const before = pipeline("s > p > b > z, p > z");
      const next = pipeline("s > z");
      expect(transitionOf(before, next, bIsDown).stranded).toEqual([{ name: "b", upstream: "p" }]);
      const owesTo = (...ids: string[]): Running => ({ ...bIsDown, owes: (_, id) => ids.includes(id), hasRest: no });
      expect(transitionOf(before, next, owesTo("b")).stranded).toEqual([{ name: "b", upstream: "p" }]);
      expect(transitionOf(before, next, owesTo("p")).stranded).toEqual([{ name: "b", upstream: "p" }]);
      expect(transitionOf(before, next, owesTo()).stranded).toEqual([]);
    });
  });

  it("lets a removed source hand on what it has emitted", () => {
    expect(change("s > z, s2 > z", "s > z")).toEqual(["(s2) > z", "s > z"]);
  });

  it("drains an input that a sink no longer has, once what takes its place has caught up", () => {
    expect(change("s > a > z, s > y, a > y", "s > a > z, a > y")).toEqual(["a > y", "a > z", "s > a", "s ~> y"]);
    const { spec } = transitionOf(pipeline("s > a > z, s > y"), pipeline("s > a > z, a > y"), runs);
    expect(shown(spec)).toEqual(["a > y", "a > z", "s +> y", "s > a"]);
    expect(shown(advanceHandover(spec, everybodySaid))).toEqual(["a > y", "a > z", "s > a", "s ~> y"]);
  });

  it("drains the old ways at once where they and the new ones would make a circle", () => {
    expect(change("s > a > b > z", "s > b > a > z")).toEqual([
      ...["a > z", "a ~> b", "b > a", "b ~> z"],
      ...["s > b", "s ~> a"],
    ]);
  });

  it("drops at once what only fed removed sinks", () => {
    expect(change("s > z, s > a > b > y", "s > z")).toEqual(["s > z"]);
  });

  it("gives what a broken processor was owed to what takes its place", () => {
    expect(change("s > a > z", "s > b > z", isDown)).toEqual(["b > z", "s > b[a]"]);
    expect(change("s > a > z", "s > z", isDown)).toEqual(["s > z[a]"]);
  });

  it("gives what a removed sink was owed to whoever newly takes from the same component, or gives it up", () => {
    expect(change("s > a > z", "s > a > y")).toEqual(["a > y[z]", "s > a"]);
    expect(change("s > a > z", "s > a > y, s > x")).toEqual(["a > y[z]", "s > a", "s > x"]);
    expect(change("s > z, s > y", "s > y")).toEqual(["s > y"]);
    expect(transitionOf(pipeline("s > z, s > y"), pipeline("s > y"), runs).stranded).toEqual([]);
  });

  it("gives what a removed branch was owed to the branch in its place", () => {
    expect(change("s > z, s > a > b > y", "s > z, s > c > x")).toEqual(["c > x", "s > c[a]", "s > z"]);
  });

  it("names what whoever takes the place of a removed sink cannot have", () => {
    const withBuffer = (text: string, buffer: ComponentSpec["inputs"][number]["buffer"]): PipelineSpec => {
      const spec = pipeline(text);
      const components = spec.components.map((one) =>
        one.id === "z" ? { ...one, inputs: one.inputs.map((input) => ({ ...input, ...(buffer && { buffer }) })) } : one,
      );
      return { ...spec, components };
    };
    const disk = { type: "disk", maxEvents: 10, maxBytes: 0, whenFull: "block" } as const;
    const lossy = { type: "memory", maxEvents: 10, maxBytes: 0, whenFull: "drop_oldest" } as const;
    const stranded = (before: PipelineSpec, next: string, running = runs) =>
      transitionOf(before, pipeline(next), running).stranded;
    const onDisk = { name: "z", upstream: "s", cannotMove: "disk" };
    expect(stranded(withBuffer("s > z", disk), "s > y")).toEqual([onDisk]);
    expect(stranded(withBuffer("s > z", disk), "s > y", { ...runs, owes: no })).toEqual([onDisk]);
    expect(stranded(withBuffer("s > z", disk), "s > y", { ...runs, hasRest: no })).toEqual([]);
    expect(stranded(withBuffer("s > z, s > x", disk), "s > x")).toEqual([]);
    const cannotDrain = { ...runs, drains: no };
    expect(stranded(pipeline("s > z"), "s > y", cannotDrain)).toEqual([
      { name: "z", upstream: "s", cannotDrain: true },
    ]);
    expect(stranded(pipeline("s > z"), "s > y", { ...cannotDrain, owes: no })).toEqual([]);
    expect(stranded(withBuffer("s > z", lossy), "s > y", cannotDrain)).toEqual([]);
  });

  it("names the dead letters that wait for a removed target while another takes its place", () => {
    const withLetters = (text: string, to: string): PipelineSpec => {
      const spec = pipeline(text);
      const components = spec.components.map((one) =>
        one.id === "a" ? { ...one, onError: { ...one.onError, action: "dead_letter" as const, to } } : one,
      );
      return { ...spec, components: [...components, componentSpec({ id: to, type: "sink" })] };
    };
    const before = withLetters("s > a > z", "old");
    const strandedTo = (next: PipelineSpec, running = runs) => transitionOf(before, next, running).stranded;
    const letters = { name: "old", upstream: "a", cannotMove: "dead letters" };
    expect(strandedTo(withLetters("s > a > z", "new"))).toEqual([letters]);
    expect(strandedTo(withLetters("s > a > z", "new"), { ...runs, owes: no })).toEqual([]);
    expect(strandedTo(pipeline("s > a > z"))).toEqual([]);
  });

  it("waits with what is wanted again until it has left, as it was told to", () => {
    const { spec } = transitionOf(pipeline("s > a > z"), pipeline("s > z"), runs);
    expect(transitionOf(spec, pipeline("s > a > z"), runs).waits).toEqual(["a-1"]);
    expect(transitionOf(spec, pipeline("s > a > z"), { ...runs, isLive: no }).waits).toEqual([]);
    expect(transitionOf(spec, pipeline("s > z"), runs).waits).toEqual([]);
  });

  it("lets what was leaving go on leaving when it does not run and is there, and gives it up when it is gone", () => {
    const { spec } = transitionOf(pipeline("s > a > z"), pipeline("s > z"), runs);
    const stopped = { ...isDown, exists: yes };
    expect(shown(transitionOf(spec, pipeline("s > z"), stopped).spec)).toEqual(["(a) > z", "s > z", "s ~> (a)"]);
    expect(shown(transitionOf(spec, pipeline("s > z"), isDownAndIdle).spec)).toEqual(["s > z"]);
    expect(transitionOf(spec, pipeline("s > z"), isDown).stranded).toEqual([{ name: "a", upstream: "s" }]);
  });

  it("has nobody take over what is on the disk of the component above", () => {
    const buffer = { type: "disk", maxEvents: 0, maxBytes: 0, whenFull: "block" } as const;
    const plain = pipeline("s > a > z");
    const before = {
      ...plain,
      components: plain.components.map((one) =>
        one.id === "a" ? { ...one, inputs: [{ from: "s", types: [], buffer }] } : one,
      ),
    };
    const stranded = (running: Running) => transitionOf(before, pipeline("s > b > z"), running).stranded;
    expect(stranded({ ...isDown, isLive: (id) => id === "s" })).toEqual([{ name: "a", upstream: "s" }]);
    expect(stranded({ ...isDownAndIdle, isLive: (id) => id === "s" })).toEqual([{ name: "a", upstream: "s" }]);
    expect(stranded({ ...isDown, hasRest: no })).toEqual([]);
  });

  it("has nobody take over what may still be in a buffer on disk that the file does not name any more", () => {
    const buffer = { type: "disk", maxEvents: 0, maxBytes: 0, whenFull: "block" } as const;
    const plain = pipeline("s > a > z");
    const buffered = plain.components.map((one) =>
      one.id === "a" ? { ...one, inputs: [{ from: "s", types: [], buffer }] } : one,
    );
    const first = transitionOf({ ...plain, components: buffered }, plain, runs).spec;
    expect(appliedPart(first)).toEqual(plain);
    const second = transitionOf(first, plain, runs).spec;
    const stranded = (running: Running) => transitionOf(second, pipeline("s > b > z"), running).stranded;
    expect(stranded({ ...isDown, isLive: (id) => id === "s" })).toEqual([{ name: "a", upstream: "s" }]);
    expect(stranded({ ...isDownAndIdle, isLive: (id) => id === "s" })).toEqual([{ name: "a", upstream: "s" }]);
    expect(stranded({ ...isDown, hasRest: no })).toEqual([]);
  });

  it("has nobody take over from a component that is there again", () => {
    const first = transitionOf(pipeline("s > a > z"), pipeline("s > b > z"), isDown).spec;
    expect(shown(first)).toContain("s > b[a]");
    expect(shown(transitionOf(first, pipeline("s > b > z, s > a > z"), runs).spec)).toContain("s > b");
  });

  it("keeps what was to be taken over until the next file but one", () => {
    const first = transitionOf(pipeline("s > a > z"), pipeline("s > b > z"), isDown).spec;
    // Nobody above may have heard of b before it is gone as well, whether it runs or not.
    expect(shown(transitionOf(first, pipeline("s > c > z"), isDown).spec)).toContain("s > c[b a]");
    expect(shown(transitionOf(first, pipeline("s > c > z"), runs).spec)).toContain("s > c[a]");
    expect(shown(transitionOf(first, pipeline("s > c > z, s > a > z"), isDown).spec)).toContain("s > c[b]");
    const nobody = pipeline("s > y, t > z");
    expect(transitionOf(transitionOf(first, pipeline("s > b > z, s > y"), runs).spec, nobody, runs).stranded).toEqual([
      { name: "a", upstream: "s" },
    ]);
    const second = transitionOf(first, pipeline("s > b > z, s > y"), runs).spec;
    expect(shown(second)).toEqual(["b > z", "s > b[a]", "s > y"]);
  });

  it("names what nobody would deliver", () => {
    const strand = (running: Running) =>
      transitionOf(pipeline("s > a > z, s > z"), pipeline("s > z"), running).stranded;
    expect(strand(isDown)).toEqual([{ name: "a", upstream: "s" }]);
    expect(strand(isDownAndIdle)).toEqual([]);
    expect(strand(runs)).toEqual([]);
  });

  it("names a component that does not run and has a buffer on disk below it", () => {
    const before = pipeline("s > a > z");
    const buffer = { type: "disk", maxEvents: 0, maxBytes: 0, whenFull: "block" } as const;
    const buffered = {
      ...before,
      components: before.components.map((one) =>
        one.id === "z" ? { ...one, inputs: [{ from: "a", types: [], buffer }] } : one,
      ),
    };
    const stranded = (running: Running) => transitionOf(buffered, pipeline("s > z"), running).stranded;
    expect(stranded(isDown)).toEqual([{ name: "a", upstream: undefined }]);
    expect(stranded({ ...isDown, hasRest: no })).toEqual([]);
    const scaled = {
      ...buffered,
      components: buffered.components.map((one) => (one.id === "a" ? { ...one, replicas: 2 } : one)),
    };
    expect(transitionOf(scaled, buffered, isDown).stranded).toEqual([{ name: "a-2", upstream: undefined }]);
    expect(transitionOf(scaled, buffered, runs).stranded).toEqual([]);
  });

  it("lets instances that were scaled away leave, and takes them back when they are wanted again", () => {
    const scaled = (replicas: number): PipelineSpec => {
      const spec = pipeline("s > a > z");
      return { ...spec, components: spec.components.map((one) => (one.id === "a" ? { ...one, replicas } : one)) };
    };
    const leaving = (spec: PipelineSpec) => spec.components.find(({ id }) => id === "a")?.leavingInstances;
    const { spec: one } = transitionOf(scaled(3), scaled(1), runs);
    expect(leaving(one)).toEqual(["a-2", "a-3"]);
    const two = transitionOf(one, scaled(2), { ...runs, isLive: no });
    expect([leaving(two.spec), two.waits]).toEqual([["a-3"], []]);
    expect(transitionOf(one, scaled(2), runs).waits).toEqual(["a-2"]);
    expect(leaving(withoutInstances(one, "a", ["a-2"]))).toEqual(["a-3"]);
    expect(leaving(transitionOf(scaled(3), scaled(1), isDown).spec)).toBeUndefined();
    expect(leaving(transitionOf(scaled(3), scaled(1), { ...runs, leaves: no }).spec)).toBeUndefined();
  });

  it("names an edge that the component above would cut at once, unless it may lose events", () => {
    const stranded = (before: PipelineSpec, next: string) =>
      transitionOf(before, pipeline(next), { ...runs, drains: no }).stranded;
    const cut = { upstream: "s", cannotDrain: true };
    expect(stranded(pipeline("s > z, s > y"), "s > z, z > y")).toEqual([{ name: "y", ...cut }]);
    expect(stranded(pipeline("s > a > z"), "s > z")).toEqual([{ name: "a", ...cut }]);
    expect(stranded(pipeline("s > a > z"), "s > a > z")).toEqual([]);
    expect(change("s > z, s > y", "s > z, z > y", { ...runs, drains: no })).toEqual(["s > z", "z > y"]);
    const before = pipeline("s > z, s > y");
    const buffer = { type: "memory", maxEvents: 1, maxBytes: 0, whenFull: "drop_oldest" } as const;
    const components = before.components.map((one) =>
      one.id === "y" ? { ...one, inputs: [{ from: "s", types: [], buffer }] } : one,
    );
    expect(stranded({ ...before, components }, "s > z, z > y")).toEqual([]);
  });

  it("drains dead letters when they go elsewhere from now on", () => {
    const to = (id: string): PipelineSpec => {
      const spec = pipeline("s > a > z, s > d1, s > d2");
      const onError = { action: "dead_letter", to: id, retries: 0, backoffMs: 0 } as const;
      return { ...spec, components: spec.components.map((one) => (one.id === "a" ? { ...one, onError } : one)) };
    };
    expect(shown(transitionOf(to("d1"), to("d2"), runs).spec)).toContain("a ~> d1");
    expect(shown(transitionOf(to("d1"), to("d1"), runs).spec)).not.toContain("a ~> d1");
  });

  it("keeps what a leaving component cannot process where its dead letters have nowhere to go any more, by failing", () => {
    const onError = { action: "dead_letter", to: "d", retries: 3, backoffMs: 100 } as const;
    const spec = pipeline("s > a > z, s > d");
    const before = { ...spec, components: spec.components.map((one) => (one.id === "a" ? { ...one, onError } : one)) };
    const leaving = (next: string) =>
      transitionOf(before, pipeline(next), runs).spec.components.find(({ id }) => id === "a");
    expect(leaving("s > z, s > d")).toMatchObject({ leaving: true, onError });
    expect(leaving("s > z")).toMatchObject({ leaving: true, onError: { ...onError, action: "fail", to: "" } });
  });

  it("takes an edge that drains back into use when it is named again", () => {
    const { spec } = transitionOf(pipeline("s > z, s > y"), pipeline("s > z, z > y"), runs);
    expect(shown(transitionOf(spec, pipeline("s > z, s > y"), runs).spec)).toContain("s > y");
    const drained = advanceHandover(spec, everybodySaid);
    expect(shown(drained)).toContain("s ~> y");
    expect(shown(transitionOf(drained, pipeline("s > z, s > y"), runs).spec)).toContain("s > y");
  });
});

/** Random pipelines over few ids, so that two of them have much in common. */
const anyPipeline = fc
  .uniqueArray(fc.constantFrom("s", "a", "b", "c", "d", "z"), { minLength: 2 })
  .chain((ids) =>
    fc.tuple(
      fc.constant(ids),
      fc.array(fc.tuple(fc.nat(5), fc.nat(5)), { minLength: 1, maxLength: 10 }),
      fc.array(fc.boolean(), { minLength: 6, maxLength: 6 }),
    ),
  )
  .map(([ids, pairs]) => {
    const inputs = new Map<string, Set<string>>(ids.map((id) => [id, new Set<string>()]));
    for (const [x, y] of pairs) {
      const [from, to] = [Math.min(x, y) % ids.length, Math.max(x, y) % ids.length].sort((p, q) => p - q) as [
        number,
        number,
      ];
      if (from !== to) inputs.get(ids[to]!)!.add(ids[from]!);
    }
    const components = ids.map((id) =>
      componentSpec({ id, type: inputs.get(id)!.size === 0 ? "source" : "processor" }, ...inputs.get(id)!),
    );
    return { name: "p", driver: "process", components };
  });

describe("any transition", () => {
  const anyRunning = fc.func(fc.boolean()).map((can): Running => ({ ...runs, runs: can }));

  it("applies just the next file, and comes down to it once everything has ended", () => {
    fc.assert(
      fc.property(fc.array(anyPipeline, { minLength: 2, maxLength: 5 }), anyRunning, (files, running) => {
        let spec: PipelineSpec | undefined;
        for (const file of files) {
          spec = transitionOf(spec, file, running).spec;
          expect(appliedPart(spec)).toEqual(file);
        }
        spec = advanceHandover(spec!, everybodySaid);
        for (const { id, leaving } of spec!.components) if (leaving) spec = withoutComponent(spec!, id);
        for (const { id, inputs } of spec!.components)
          for (const { from, draining } of inputs) if (draining) spec = withoutInput(spec!, id, from);
        // But for what an input was to take over, which stays until the next file but one.
        expect(withoutHeritage(spec!)).toEqual(files.at(-1));
      }),
    );
  });

  it("keeps every way on which something may be under way to a component that stays", () => {
    fc.assert(
      fc.property(anyPipeline, anyPipeline, (before, next) => {
        const { spec } = transitionOf(before, next, runs);
        const stays = new Set(next.components.map(({ id }) => id));
        const there = new Set(spec.components.map(({ id }) => id));
        for (const { id, inputs } of before.components.filter((one) => there.has(one.id))) {
          for (const { from } of inputs) {
            const edge = spec.components.find((one) => one.id === id)!.inputs.find((input) => input.from === from);
            expect(edge, `${from} > ${id}`).toBeDefined();
          }
        }
        for (const { id, inputs } of before.components.filter((one) => stays.has(one.id)))
          for (const { from } of inputs) expect(there.has(from), `${from} above ${id}`).toBe(true);
      }),
    );
  });
});

function withoutHeritage(spec: PipelineSpec): PipelineSpec {
  const plain = ({ inputs }: ComponentSpec) => inputs.map(({ takesOver: _, ...input }) => input);
  const { marks: _, ...rest } = spec;
  return { ...rest, components: spec.components.map((one) => ({ ...one, inputs: plain(one) })) };
}

describe("going back to an earlier file", () => {
  const back = (before: string, next: string) => transitionOf(pipeline(before), pipeline(next), isDown, true).stranded;
  const forth = (before: string, next: string) => transitionOf(pipeline(before), pipeline(next), isDown).stranded;

  it("gives up what waits for a new branch, as everybody gets those events without it", () => {
    expect(forth("s > a > z, s > b > z", "s > a > z")).toEqual([{ name: "b", upstream: "s" }]);
    expect(back("s > a > z, s > b > z", "s > a > z")).toEqual([]);
    expect(back("s > a > z, s > b > c > z", "s > a > z")).toEqual([]);
  });

  it("hands what waits for whoever stood in the place of another to that one", () => {
    const { spec, stranded } = transitionOf(pipeline("s > a > b > z"), pipeline("s > a > z"), isDown, true);
    expect([shown(spec), stranded]).toEqual([["a > z[b]", "s > a"], []]);
  });

  it("gives up nothing that only whoever stood in the place of another has on its disk", () => {
    const buffered = (text: string, id: string): PipelineSpec => {
      const spec = pipeline(text);
      const buffer = { type: "disk", maxEvents: 10, maxBytes: 0, whenFull: "block" } as const;
      const components = spec.components.map((one) =>
        one.id === id ? { ...one, inputs: one.inputs.map((input) => ({ ...input, buffer })) } : one,
      );
      return { ...spec, components };
    };
    const strandedIn = (before: PipelineSpec, next: string) =>
      transitionOf(before, pipeline(next), isDown, true).stranded;
    expect(strandedIn(buffered("s > b > z", "z"), "s > z")).toEqual([{ name: "b", upstream: undefined }]);
    expect(strandedIn(buffered("s > b > z", "b"), "s > z")).toEqual([{ name: "b", upstream: "s" }]);
    expect(strandedIn(buffered("s > a > z, s > b > z", "b"), "s > a > z")).toEqual([]);
  });

  it("gives up nothing that a new source has read", () => {
    const spec = pipeline("s > z, s2 > z");
    const buffer = { type: "disk", maxEvents: 10, maxBytes: 0, whenFull: "block" } as const;
    const components = spec.components.map((one) => ({
      ...one,
      inputs: one.inputs.map((input) => ({ ...input, buffer })),
    }));
    expect(transitionOf({ ...spec, components }, pipeline("s > z"), isDown, true).stranded).toEqual([
      { name: "s2", upstream: undefined },
    ]);
  });
});
