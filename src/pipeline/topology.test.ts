import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { makeTopology } from "./topology.ts";

/** `b: a` is b with the input a; `b! c` sends dead letters of b to c. */
function topology(...lines: string[]) {
  return makeTopology(
    lines.map((line) => {
      const [, id = "", inputs = "", to] = /^(\w+):?([^!]*)(?:! (\w+))?$/.exec(line) ?? [];
      return {
        id,
        inputs: inputs
          .trim()
          .split(/\s+/)
          .filter(Boolean)
          .map((from) => ({ from })),
        ...(to === undefined ? {} : { onError: { to } }),
      };
    }),
  );
}

describe("a topology", () => {
  test("knows neighbours in both directions, in the order of the file", () => {
    const diamond = topology("s", "l: s", "r: s", "j: r l", "o: j");
    expect(diamond.downstreams("s")).toEqual(["l", "r"]);
    expect(diamond.groupsOf("s")).toEqual(["l", "r"]);
    expect(diamond.upstreams("j")).toEqual(["r", "l"]);
    expect(diamond.upstreams("nobody")).toEqual([]);
  });

  test("measures depth along the longest way", () => {
    const graph = topology("s", "a: s", "b: a", "o: s b");
    expect(["s", "a", "b", "o"].map(graph.depth)).toEqual([0, 1, 2, 3]);
  });

  test("orders everything after what it takes events or dead letters from", () => {
    expect(topology("o: b", "b: a", "a: s", "s").order).toEqual(["s", "a", "b", "o"]);
    expect(topology("bad", "s", "o: s! bad").order).toEqual(["s", "o", "bad"]);
  });

  test("keeps dead letters apart from inputs", () => {
    const graph = topology("s! bad", "o: s! bad", "bad");
    expect(graph.upstreams("bad")).toEqual([]);
    expect(graph.deadLettersOf("bad")).toEqual(["s", "o"]);
    expect(graph.edges.map((edge) => `${edge.from}-${edge.kind}-${edge.to}`)).toEqual([
      "s-input-o",
      "s-dead_letter-bad",
      "o-dead_letter-bad",
    ]);
  });

  test("names each cycle once, in the direction of the events", () => {
    expect(topology("s", "a: s c", "b: a", "c: b", "o: c").cycles).toEqual([["a", "b", "c"]]);
    expect(topology("a: b", "b: a", "c: d b", "d: c").cycles).toEqual([
      ["a", "b"],
      ["c", "d"],
    ]);
    expect(topology("s", "a: s", "o: a").cycles).toEqual([]);
    expect(topology("a: a").cycles).toEqual([["a"]]);
  });

  test("still holds every component when there are cycles", () => {
    expect(topology("s", "a: s b", "b: a").order).toEqual(["s", "a", "b"]);
  });

  test("has no cycle and a true order whenever inputs come from earlier components only", () => {
    const graphs = fc.array(fc.array(fc.nat({ max: 20 }), { maxLength: 4 }), { minLength: 1, maxLength: 20 });
    fc.assert(
      fc.property(graphs, (inputs) => {
        const graph = makeTopology(
          inputs.map((from, index) => ({
            id: `n${index}`,
            inputs: from.filter((other) => other < index).map((other) => ({ from: `n${other}` })),
          })),
        );
        expect(graph.cycles).toEqual([]);
        for (const { from, to } of graph.edges) {
          expect(graph.order.indexOf(from)).toBeLessThan(graph.order.indexOf(to));
          expect(graph.depth(from)).toBeLessThan(graph.depth(to));
        }
      }),
    );
  });
});
