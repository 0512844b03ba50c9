import { describe, expect, it } from "vitest";
import type { ComponentState, InstanceMetrics, PipelineRecord } from "../protocol/records.ts";
import { slowComponents } from "./slow-components.ts";

type Said = Partial<InstanceMetrics> & { readonly state?: ComponentState; readonly to?: readonly string[] };

const nothing: InstanceMetrics = {
  ...{ eventsIn: 0, eventsOut: 0, bytesIn: 0, bytesOut: 0, eventsDropped: 0, eventsFiltered: 0, eventsFailed: 0 },
  ...{ inFlight: 0, deadLetters: 0, retries: 0, waiting: {}, backpressure: 0 },
};

/** A pipeline of which each component said this in its heartbeats, one for each instance. */
function record(of: Readonly<Record<string, Said | readonly Said[]>>): PipelineRecord {
  const said = (id: string): readonly Said[] => [of[id] ?? []].flat();
  const below = (id: string): readonly string[] => said(id)[0]?.to ?? [];
  const ids = Object.keys(of);
  const components = ids.map((id) => ({
    id,
    state: said(id)[0]?.state ?? "healthy",
    connections: { downstream: below(id), upstream: ids.filter((other) => below(other).includes(id)) },
    instances: said(id).map(({ state = "healthy", ...metrics }) => ({ state, metrics: { ...nothing, ...metrics } })),
  }));
  return { components } as unknown as PipelineRecord;
}

const source = (...to: string[]): Said => ({
  to,
  ...{ eventsOut: 10_000, inFlight: 8_192, backpressure: 1 },
  waiting: Object.fromEntries(to.map((id) => [id, 4_096])),
});
const through = (count: number, inFlight: number, ...to: string[]): Said => ({
  ...{ to, eventsIn: count, eventsOut: count, inFlight },
});

describe("slow components", () => {
  it("are found below those that pass on all they get and wait for the acknowledgement only", () => {
    const chain = record({
      src: source("one"),
      one: through(6_145, 3_662, "two"),
      two: through(6_145, 3_610, "slow"),
      slow: { to: ["after"], eventsIn: 6_145, eventsOut: 2_389, inFlight: 3_756 },
      after: through(2_389, 0, "out"),
      out: { eventsIn: 2_389 },
    });
    expect(slowComponents(chain)).toEqual([{ id: "slow", holdsUp: "src", share: 1, waiting: 3_756, works: true }]);
  });

  it("are the sink when everybody above it has sent all there is credit for", () => {
    const chain = record({
      src: source("fast"),
      fast: through(5_352, 4_096, "slow"),
      slow: { eventsIn: 5_352, inFlight: 4_096 },
    });
    expect(slowComponents(chain)).toMatchObject([{ id: "slow", holdsUp: "src" }]);
  });

  it("are the one of several below a source that has most to do", () => {
    const fan = record({
      src: { ...source("quick", "slow"), waiting: { quick: 0, slow: 4_096 } },
      quick: { eventsIn: 9_448 },
      slow: { eventsIn: 5_352, inFlight: 4_096 },
    });
    expect(slowComponents(fan)).toEqual([{ id: "slow", holdsUp: "src", share: 1, waiting: 8_192, works: true }]);
  });

  it("are counted over their instances", () => {
    const replicas = record({
      src: source("slow"),
      slow: [
        { to: ["out"], eventsIn: 7_000, eventsOut: 3_500, inFlight: 3_500 },
        { to: ["out"], eventsIn: 7_000, eventsOut: 3_400, inFlight: 3_600 },
      ],
      out: { eventsIn: 6_900, inFlight: 60 },
    });
    expect(slowComponents(replicas)).toMatchObject([{ id: "slow", waiting: 4_096 + 7_100 }]);
  });

  it("are told apart from those that make many events of one, or few of many", () => {
    const explode = (inFlight: number) => ({ to: ["out"], eventsIn: 1_000, eventsOut: 100_000, inFlight });
    const slowSink = record({ src: source("many"), many: explode(41), out: { eventsIn: 100_000, inFlight: 4_096 } });
    expect(slowComponents(slowSink)).toMatchObject([{ id: "out" }]);
    const slowMaker = record({
      src: source("many"),
      many: explode(4_096),
      out: { eventsIn: 100_000, inFlight: 4_096 },
    });
    expect(slowComponents(slowMaker)).toMatchObject([{ id: "many" }]);
    const filter = { to: ["out"], eventsIn: 100_000, eventsFiltered: 99_000, eventsOut: 1_000, inFlight: 4_096 };
    const behindFilter = record({ src: source("few"), few: filter, out: { eventsIn: 1_000, inFlight: 4_000 } });
    expect(slowComponents(behindFilter)).toMatchObject([{ id: "out" }]);
  });

  it("are not those whose work waits in a buffer with room for it", () => {
    const buffered = record({
      src: source("slow"),
      slow: { ...through(50_000, 4_096, "slower"), waiting: { slower: 40_000 } },
      slower: { eventsIn: 5_904, inFlight: 4_096 },
    });
    expect(slowComponents(buffered)).toMatchObject([{ id: "slow", holdsUp: "src" }]);
  });

  it("are those below a full buffer", () => {
    const full = record({
      src: source("fast"),
      fast: { ...through(50_000, 4_096, "slow"), waiting: { slow: 40_000 }, backpressure: 0.9 },
      slow: { eventsIn: 5_904, inFlight: 4_096 },
    });
    expect(slowComponents(full)).toMatchObject([{ id: "slow", holdsUp: "src", share: 1 }]);
  });

  it("are not blamed for what another source sent to the same sink", () => {
    const both = record({
      src: source("slow"),
      slow: { ...through(5_000, 4_096, "out"), eventsOut: 904 },
      other: { to: ["out"], eventsOut: 100_000 },
      out: { eventsIn: 100_904, inFlight: 4_000 },
    });
    expect(slowComponents(both)).toMatchObject([{ id: "slow" }]);
  });

  it("are those that do not answer any more, whatever they said last", () => {
    const hung = record({
      src: source("fast"),
      fast: through(5_000, 4_096, "hung"),
      hung: { state: "unhealthy", eventsIn: 1_000, inFlight: 12 },
    });
    expect(slowComponents(hung)).toMatchObject([{ id: "hung", works: false }]);
  });

  it("are none when nobody waits for long", () => {
    const sink = { eventsIn: 9, inFlight: 9 };
    expect(slowComponents(record({ src: { to: ["sink"], backpressure: 0.05, waiting: { sink: 9 } }, sink }))).toEqual(
      [],
    );
    const idle = { to: ["sink"], backpressure: 0.5, waiting: { sink: 0 } };
    expect(slowComponents(record({ src: idle, sink: { eventsIn: 9 } }))).toEqual([]);
  });
});
