import { nextOfShard, shardCount } from "../../../src/components/sources/generator-shards.ts";
import { ANCHOR, type Config, idsOf } from "./config.ts";
import type { Epoch } from "./history.ts";
import { type EventClass, isRefused, losslessPaths } from "./paths.ts";
import type { Arrival, SinkContent } from "./sink-file.ts";

/** Events that are not in a sink as they must be. */
export interface Wrong {
  readonly what: "lost" | "doubled" | "unreadable" | "unknown";
  readonly sink: string;
  readonly source: string;
  readonly count: number;
  /** The first of them, for whoever looks. */
  readonly examples: readonly string[];
}

export interface Verdict {
  readonly wrong: readonly Wrong[];
  /** Events that the sources sent. */
  readonly sent: number;
  /** Pairs of event and sink for which arrival was demanded. */
  readonly demanded: number;
  /** Lines beyond the first of an event on one route, at sinks where that is allowed. */
  readonly repeated: number;
  /** Events that a processor took only at the second attempt, and dead letters: proof that both took place. */
  readonly retried: number;
  readonly deadLetters: number;
}

/** The sources whose count the last file gives have sent the numbers from 1 up to it. */
export interface Evidence {
  readonly epochs: readonly Epoch[];
  readonly sinks: ReadonlyMap<string, SinkContent>;
}

/**
 * Holds the content of the sinks against what was asked for.
 *
 * - An event must be in a sink when a lossless way from its source to there was in every file that may have run from the moment
 *   when it was made until the end: one and the same, or one that lost components to removal or got new ones between. A sink that was
 *   turned from one component to another that was there already may miss what the one had not yet and the other had no more.
 * - A sink that never had more than one instance has an event at most once for each route that it can have come by: it remembers ids.
 * - A source that the last file has, and the first had, has sent every number from 1 to its count, whether or not a sink saw it.
 */
export function prove({ epochs, sinks }: Evidence): Verdict {
  const last = epochs.at(-1)!.configs[0]!;
  const toldAt = epochs.at(-1)!.from;
  const madeAt = momentsOf(sinks);
  const wrong: Wrong[] = [];
  let sent = 0;
  let demanded = 0;
  for (const source of idsOf(last, "source")) {
    const component = last.components[source]!;
    const count = component.kind === "source" ? component.count : undefined;
    if (count === undefined) throw new Error(`the last file does not say how many events ${source} sends`);
    sent += count;
    const obligations = new Obligations(epochs, source);
    const moments = momentsUpTo(count, madeAt.get(source) ?? new Map());
    for (const sink of idsOf(last, "sink")) {
      const has = new Set((sinks.get(sink)?.arrivals ?? []).flatMap((it) => (it.source === source ? [it.n] : [])));
      const lost: number[] = [];
      for (let n = 1; n <= count; n++) {
        if (!obligations.demands(sink, n, moments[n]!)) continue;
        demanded++;
        if (!has.has(n)) lost.push(n);
      }
      if (lost.length > 0) wrong.push(wrongOf("lost", sink, source, lost.map(String)));
      // One that was beyond its end when it was told of it has ended there.
      const beyond = [...has].filter((n) => n > count && (madeAt.get(source)?.get(n) ?? 0) > toldAt);
      if (beyond.length > 0) wrong.push(wrongOf("unknown", sink, source, beyond.map(String)));
    }
  }
  const { doubled, repeated } = repetitions(epochs, sinks);
  const unreadable = [...sinks].flatMap(([sink, content]) =>
    content.unreadable.length > 0 ? [wrongOf("unreadable", sink, "", content.unreadable)] : [],
  );
  const all = [...sinks.values()].flatMap(({ arrivals }) => arrivals);
  return {
    ...{ wrong: [...wrong, ...doubled, ...unreadable], sent, demanded, repeated },
    retried: all.filter(({ tries }) => tries > 1).length,
    deadLetters: all.filter(({ route }) => route.includes("!")).length,
  };
}

function wrongOf(what: Wrong["what"], sink: string, source: string, which: readonly string[]): Wrong {
  return { what, sink, source, count: which.length, examples: which.slice(0, 5) };
}

/** When each event was made, as the anchor says it, else whoever has it; by source, and then by number. */
function momentsOf(sinks: ReadonlyMap<string, SinkContent>): ReadonlyMap<string, ReadonlyMap<number, number>> {
  const moments = new Map<string, Map<number, number>>();
  const anchorLast = [...sinks].sort(([a], [b]) => Number(a === ANCHOR) - Number(b === ANCHOR));
  for (const [, { arrivals }] of anchorLast) {
    for (const { source, n, madeAt } of arrivals) valueIn(moments, source, () => new Map()).set(n, madeAt);
  }
  return moments;
}

/**
 * The moment by which each number from 1 on was made at the earliest. What nobody has was made, for the last time, after all that
 * comes before it in its shard: a source makes a shard in order, and all of it again that is not settled.
 */
function momentsUpTo(count: number, known: ReadonlyMap<number, number>): readonly number[] {
  const moments = new Array<number>(count + 1).fill(0);
  for (let shard = 0; shard < shardCount; shard++) {
    let newest = 0;
    for (let n = nextOfShard(shard, 0); n <= count; n = nextOfShard(shard, n)) {
      const moment = known.get(n) ?? newest;
      moments[n] = moment;
      newest = Math.max(newest, moment);
    }
  }
  return moments;
}

/** The value of a key, made where there is none. */
function valueIn<V>(map: Map<string, V>, key: string, make: () => V): V {
  const value = map.get(key) ?? make();
  map.set(key, value);
  return value;
}

/** Which sinks must have the events of a source, by when they were made. */
class Obligations {
  readonly #epochs: readonly Epoch[];
  /** By class of event: for each epoch the ways that last from then until the end, by sink. */
  readonly #lasting = new Map<string, readonly ReadonlyMap<string, ReadonlySet<string>>[]>();
  readonly #source: string;

  constructor(epochs: readonly Epoch[], source: string) {
    this.#epochs = epochs;
    this.#source = source;
  }

  demands(sink: string, n: number, madeAt: number): boolean {
    const kind: EventClass = { source: this.#source, even: n % 2 === 0, refused: isRefused(n) };
    const key = `${kind.even} ${kind.refused}`;
    let lasting = this.#lasting.get(key);
    if (lasting === undefined) {
      lasting = lastingPaths(this.#epochs, kind);
      this.#lasting.set(key, lasting);
    }
    return (lasting[this.#epochAt(madeAt)]?.get(sink)?.size ?? 0) > 0;
  }

  #epochAt(moment: number): number {
    let index = this.#epochs.length - 1;
    while (index > 0 && this.#epochs[index]!.from > moment) index--;
    return index;
  }
}

/** For each epoch the ways of a class of events that last from then until the end, by sink. */
function lastingPaths(epochs: readonly Epoch[], kind: EventClass): readonly ReadonlyMap<string, ReadonlySet<string>>[] {
  const known = new Map<Config, ReadonlyMap<string, Set<string>>>();
  const pathsOf = (config: Config): ReadonlyMap<string, Set<string>> => {
    const paths = known.get(config) ?? losslessPaths(config, kind);
    known.set(config, paths);
    return paths;
  };
  const lasting: ReadonlyMap<string, ReadonlySet<string>>[] = [];
  let after: Config | undefined;
  let alive: ReadonlyMap<string, ReadonlySet<string>> = new Map();
  for (const { configs } of epochs.toReversed()) {
    for (const config of configs.toReversed()) {
      const paths = pathsOf(config);
      if (after === undefined) alive = paths;
      else if (after !== config) alive = goingOn(config, paths, after, alive);
      after = config;
    }
    lasting.unshift(alive);
  }
  return lasting;
}

/**
 * The ways of a file that go on in the next one. A way goes on as itself, and also where components that the next file has no
 * more are left out of it, or new ones come into it: whoever stands before them turns from one to the other at one event, and
 * what is gone first hands on all that it has. Where a sink is reached in both files, and by no such way, its input goes from one component
 * that stays to another: the old way goes on until the new one has caught up, unless both together make a circle.
 */
function goingOn(
  before: Config,
  paths: ReadonlyMap<string, ReadonlySet<string>>,
  after: Config,
  alive: ReadonlyMap<string, ReadonlySet<string>>,
): ReadonlyMap<string, ReadonlySet<string>> {
  const shared = (path: string): string =>
    path
      .split(">")
      .filter((id) => id.includes("!") || (before.components[id] !== undefined && after.components[id] !== undefined))
      .join(">");
  const isHandedOver = !makeCircle(before, after);
  return new Map(
    [...paths].map(([sink, ways]) => {
      const next = new Set([...(alive.get(sink) ?? [])].map(shared));
      const same = new Set([...ways].filter((way) => next.has(shared(way))));
      return [sink, same.size === 0 && next.size > 0 && isHandedOver ? ways : same];
    }),
  );
}

/** Whether events could go round on the inputs of both files together. */
function makeCircle(before: Config, after: Config): boolean {
  const from = new Map<string, Set<string>>();
  for (const { components } of [before, after]) {
    for (const [id, component] of Object.entries(components)) {
      const above = valueIn(from, id, () => new Set());
      for (const input of component.kind === "source" ? [] : component.inputs) above.add(input.from);
    }
  }
  const isAbove = (id: string, wanted: string, seen: Set<string>): boolean =>
    [...(from.get(id) ?? [])].some((above) => {
      if (above === wanted) return true;
      if (seen.has(above)) return false;
      seen.add(above);
      return isAbove(above, wanted, seen);
    });
  return [...from.keys()].some((id) => isAbove(id, id, new Set()));
}

function repetitions(
  epochs: readonly Epoch[],
  sinks: ReadonlyMap<string, SinkContent>,
): { readonly doubled: readonly Wrong[]; readonly repeated: number } {
  const doubled: Wrong[] = [];
  let repeated = 0;
  for (const [sink, { arrivals }] of sinks) {
    const again = seenAgain(arrivals);
    if (again.length === 0) continue;
    const configs = epochs.flatMap((epoch) => epoch.configs);
    if (configs.every(({ components }) => (components[sink]?.replicas ?? 1) === 1)) {
      doubled.push(wrongOf("doubled", sink, "", again));
    } else {
      repeated += again.length;
    }
  }
  return { doubled, repeated };
}

/** Each further arrival of an event on one route. */
function seenAgain(arrivals: readonly Arrival[]): readonly string[] {
  const seen = new Map<string, Set<number>>();
  return arrivals.flatMap(({ source, n, route }) => {
    const numbers = valueIn(seen, `${source} by ${route}`, () => new Set());
    if (numbers.has(n)) return [`${source} ${n} by ${route}`];
    numbers.add(n);
    return [];
  });
}
