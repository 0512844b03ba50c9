import { describe, expect, it } from "vitest";
import { FIRST } from "./choose-steps.ts";
import { ANCHOR, type Config } from "./config.ts";
import { applyEdit, type Edit } from "./edits.ts";
import { History } from "./history.ts";
import { isRefused } from "./paths.ts";
import { prove, type Verdict } from "./prover.ts";
import type { Arrival, SinkContent } from "./sink-file.ts";

const COUNT = 800;

function ended(config: Config, count = COUNT): Config {
  return {
    components: Object.fromEntries(
      Object.entries(config.components).map(([id, component]) => [
        id,
        component.kind === "source" ? { ...component, count } : component,
      ]),
    ),
  };
}

/** What reaches each sink when nothing goes wrong: event n is made at moment n, and comes by every way of the file of then. */
function flawless(configAt: (moment: number) => Config): Map<string, { arrivals: Arrival[]; unreadable: string[] }> {
  const sinks = new Map<string, { arrivals: Arrival[]; unreadable: string[] }>();
  for (let n = 1; n <= COUNT; n++) {
    const { components } = configAt(n);
    const deliver = (sink: string, source: string, route: string): void => {
      const content = sinks.get(sink) ?? { arrivals: [], unreadable: [] };
      sinks.set(sink, content);
      content.arrivals.push({ source, n, madeAt: n, route, tries: 1 });
    };
    const goOn = (id: string, source: string, route: string): void => {
      for (const [to, component] of Object.entries(components)) {
        if (component.kind === "source" || !component.inputs.some(({ from }) => from === id)) continue;
        if (component.kind === "sink") deliver(to, source, route);
        else if (component.program === "chaos" && isRefused(n))
          deliver(component.deadLettersTo!, source, `${route}!${to}`);
        else goOn(to, source, `${route}>${to}`);
      }
    };
    for (const [id, { kind }] of Object.entries(components)) if (kind === "source") goOn(id, id, id);
  }
  return sinks;
}

function judge(history: History, sinks: ReadonlyMap<string, SinkContent>): Verdict {
  return prove({ epochs: history.epochs, sinks });
}

const wrongsOf = (verdict: Verdict): string[] =>
  verdict.wrong.map(({ what, sink, source, count }) => `${what} ${count} ${source} at ${sink}`);

function edit(config: Config, change: Edit): Config {
  return applyEdit(config, change)!;
}

describe("the proof of a run without changes", () => {
  const last = ended(FIRST);
  const history = new History(last);

  it("passes what is complete", () => {
    const verdict = judge(
      history,
      flawless(() => last),
    );
    expect(wrongsOf(verdict)).toEqual([]);
    expect(verdict.sent).toBe(2 * COUNT);
    expect(verdict.deadLetters).toBe(7);
  });

  // Every sink but the one that may lose: each line that is taken away has to be missed.
  it.each(["letters", "direct", "joined", "kept", "picked"])("misses a single line of %s", (sink) => {
    const sinks = flawless(() => last);
    const { arrivals } = sinks.get(sink)!;
    // At `joined` an event may have come on another way.
    const [gone] = arrivals.splice(arrivals.length - 1, 1);
    sinks.get(sink)!.arrivals = arrivals.filter(({ source, n }) => source !== gone!.source || n !== gone!.n);
    expect(wrongsOf(judge(history, sinks))).toEqual([`lost 1 ${gone!.source} at ${sink}`]);
  });

  it("misses an event that nobody has at every sink that must have it", () => {
    const sinks = flawless(() => last);
    for (const content of sinks.values()) {
      content.arrivals = content.arrivals.filter(({ source, n }) => source !== "numbers" || n !== 500);
    }
    expect(wrongsOf(judge(history, sinks)).toSorted()).toEqual(
      [ANCHOR, "direct", "joined", "kept", "picked"].map((sink) => `lost 1 numbers at ${sink}`),
    );
  });

  it("misses a dead letter", () => {
    const sinks = flawless(() => last);
    const letters = sinks.get("letters")!;
    letters.arrivals = letters.arrivals.filter(({ route }) => !route.includes("!"));
    expect(wrongsOf(judge(history, sinks))).toEqual(["lost 7 numbers at letters"]);
  });

  it("finds a line that came twice, and none that came by two ways", () => {
    const sinks = flawless(() => last);
    const { arrivals } = sinks.get("joined")!;
    arrivals.push(arrivals[7]!);
    expect(wrongsOf(judge(history, sinks))).toEqual(["doubled 1  at joined"]);
  });

  it("demands nothing of an input that may lose", () => {
    const sinks = flawless(() => last);
    sinks.get("lossy")!.arrivals.splice(100, 300);
    expect(wrongsOf(judge(history, sinks))).toEqual([]);
  });

  it("finds lines that cannot be read, and events beyond the last", () => {
    const sinks = flawless(() => last);
    sinks.get("direct")!.unreadable.push('{"s":"num');
    sinks.get("direct")!.arrivals.push({ source: "numbers", n: COUNT + 1, madeAt: 5, route: "numbers", tries: 1 });
    expect(wrongsOf(judge(history, sinks))).toEqual(["unknown 1 numbers at direct", "unreadable 1  at direct"]);
  });
});

describe("the proof of a run with a change", () => {
  const BEGIN = 400;
  const END = 600;

  function changedRun(change: Edit): { history: History; last: Config; first: Config } {
    const first = ended(FIRST);
    const last = ended(edit(FIRST, change));
    const history = new History(first);
    history.begin(last, BEGIN);
    history.settle(last, END);
    return { history, last, first };
  }

  const without = (sinks: ReturnType<typeof flawless>, sink: string, n: number): void => {
    const content = sinks.get(sink)!;
    content.arrivals = content.arrivals.filter((it) => it.n !== n || it.source !== "numbers");
  };

  it("demands of a sink that is added everything that was made after the change", () => {
    const { history, last, first } = changedRun({ op: "add", id: "late", component: FIRST.components.direct! });
    const sinks = flawless((moment) => (moment < END ? first : last));
    expect(wrongsOf(judge(history, sinks))).toEqual([]);
    without(sinks, "late", 601);
    expect(wrongsOf(judge(history, sinks))).toEqual(["lost 1 numbers at late"]);
  });

  it("misses an event that nobody has of a source that was added", () => {
    const source = { kind: "source", replicas: 1, environment: 0, rate: 100 } as const;
    const { history, last, first } = changedRun({ op: "add", id: "extra", component: source, into: "direct" });
    const sinks = flawless((moment) => (moment < END ? first : last));
    for (const content of sinks.values()) {
      content.arrivals = content.arrivals.filter(({ source: from, n }) => from !== "extra" || n !== 700);
    }
    expect(wrongsOf(judge(history, sinks)).toSorted()).toEqual([`lost 1 extra at ${ANCHOR}`, "lost 1 extra at direct"]);
  });

  it("demands everything of a sink that the change does not concern", () => {
    const { history, last, first } = changedRun({ op: "add", id: "late", component: FIRST.components.direct! });
    const sinks = flawless((moment) => (moment < END ? first : last));
    without(sinks, "kept", 450);
    expect(wrongsOf(judge(history, sinks))).toEqual(["lost 1 numbers at kept"]);
  });

  it("finds events beyond the last only where the source had been told of its end", () => {
    const { history, last, first } = changedRun({ op: "add", id: "late", component: FIRST.components.direct! });
    const sinks = flawless((moment) => (moment < END ? first : last));
    const beyond = { source: "numbers", n: COUNT + 1, route: "numbers", tries: 1 };
    sinks.get("direct")!.arrivals.push({ ...beyond, madeAt: END - 1 });
    expect(wrongsOf(judge(history, sinks))).toEqual([]);
    sinks.get("direct")!.arrivals.push({ ...beyond, n: COUNT + 2, madeAt: END + 1 });
    expect(wrongsOf(judge(history, sinks))).toEqual(["unknown 1 numbers at direct"]);
  });

  it("demands of an input that loses no more what comes after the change", () => {
    const change: Edit = { op: "buffer", id: "lossy", input: "first", buffer: null };
    const { history, last, first } = changedRun(change);
    const sinks = flawless((moment) => (moment < END ? first : last));
    without(sinks, "lossy", 399);
    expect(wrongsOf(judge(history, sinks))).toEqual([]);
    without(sinks, "lossy", 700);
    expect(wrongsOf(judge(history, sinks))).toEqual(["lost 1 numbers at lossy"]);
  });

  it("demands of types that are let in what has them all the time", () => {
    const typed = edit(FIRST, { op: "typed", id: "second", typed: true });
    const even = ended(edit(typed, { op: "types", id: "kept", input: "second", types: ["even"] }));
    const history = new History(ended(typed));
    history.begin(even, BEGIN);
    history.settle(even, END);
    const sinks = flawless(() => ended(typed));
    without(sinks, "kept", 301);
    expect(wrongsOf(judge(history, sinks))).toEqual([]);
    without(sinks, "kept", 302);
    expect(wrongsOf(judge(history, sinks))).toEqual(["lost 1 numbers at kept"]);
  });

  it("demands everything where a component is taken out of the way, or is called otherwise", () => {
    for (const change of [
      { op: "remove", id: "second" },
      { op: "rename", id: "second", to: "third" },
    ] as const) {
      const { history, last, first } = changedRun(change);
      const sinks = flawless((moment) => (moment < END ? first : last));
      expect(wrongsOf(judge(history, sinks))).toEqual([]);
      without(sinks, "kept", 399);
      expect(wrongsOf(judge(history, sinks))).toEqual(["lost 1 numbers at kept"]);
    }
  });

  it("demands of a sink that takes from another component what was made before that, too", () => {
    const { history, last, first } = changedRun({ op: "rewire", id: "kept", from: ["first"] });
    const sinks = flawless((moment) => (moment < END ? first : last));
    expect(wrongsOf(judge(history, sinks))).toEqual([]);
    without(sinks, "kept", 399);
    expect(wrongsOf(judge(history, sinks))).toEqual(["lost 1 numbers at kept"]);
  });

  it("allows repetitions where a sink ever had two instances", () => {
    const { history, last, first } = changedRun({ op: "replicas", id: "direct", replicas: 2 });
    const sinks = flawless((moment) => (moment < END ? first : last));
    const { arrivals } = sinks.get("direct")!;
    arrivals.push(arrivals[7]!);
    const verdict = judge(history, sinks);
    expect(wrongsOf(verdict)).toEqual([]);
    expect(verdict.repeated).toBe(1);
  });
});
