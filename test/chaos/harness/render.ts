import {
  type Buffer,
  type Component,
  type Config,
  type Input,
  type Processor,
  problemOf,
  type Sink,
  type Source,
} from "./config.ts";

/** What of a pipeline file depends on the driver, and on where the harness works. */
export interface Surroundings {
  readonly driver: "process" | "docker";
  /** argv of the processor that refuses events. */
  readonly chaosCommand: readonly string[];
  /** What part of their rates the sources keep to until they are given an end; 1: all. */
  readonly pace: number;
  /** The two images that it can run from; none on processes. */
  readonly images?: Readonly<Record<"a" | "b", string>>;
}

/** Every event says which it is (source and number), when it was made, and which components it came by. */
export const REFUSED_FOR_GOOD = 101;
export const REFUSED_ONCE = 89;

/** The pipeline file without its name. */
export function render(config: Config, surroundings: Surroundings): string {
  const problem = problemOf(config);
  if (problem !== undefined) throw new Error(problem);
  const sections = { source: "sources", processor: "processors", sink: "sinks" } as const;
  const file: Record<string, Record<string, unknown>> = { sources: {}, processors: {}, sinks: {} };
  for (const [id, component] of Object.entries(config.components)) {
    file[sections[component.kind]]![id] = renderComponent(id, component, surroundings);
  }
  return Object.entries(file)
    .filter(([, entries]) => Object.keys(entries).length > 0)
    .map(([section, entries]) => {
      const lines = Object.entries(entries).map(([id, entry]) => `  ${id}: ${JSON.stringify(entry)}\n`);
      return `${section}:\n${lines.join("")}`;
    })
    .join("");
}

function renderComponent(id: string, component: Component, surroundings: Surroundings): Record<string, unknown> {
  const common = {
    restart: "on-failure:1000",
    environment: { CHAOS: String(component.environment) },
    deploy: { replicas: component.replicas },
  };
  switch (component.kind) {
    case "source":
      return { ...common, ...renderSource(id, component, surroundings) };
    case "processor":
      return { ...common, inputs: component.inputs.map(renderInput), ...renderProcessor(id, component, surroundings) };
    case "sink":
      return { ...common, inputs: component.inputs.map(renderInput), ...renderSink(id, component) };
  }
}

function renderSource(id: string, { rate: wanted, count }: Source, { pace }: Surroundings): Record<string, unknown> {
  const rate = count === undefined ? Math.max(1, Math.round(wanted * pace)) : wanted;
  const template = { s: `'${id}'`, n: "sequence", k: "sequence % 16", t: "now", v: `'${id}'` };
  return { uses: "generator", with: { rate, type: "plain", template, ...(count === undefined ? {} : { count }) } };
}

function renderProcessor(id: string, processor: Processor, surroundings: Surroundings): Record<string, unknown> {
  const { program, version, partitioned, typed, onError, deadLettersTo, image } = processor;
  const partition = partitioned ? { partition_by: "payload.k" } : {};
  if (program === "map") {
    const types = typed ? { type_from: "payload.n % 2 == 0 ? 'even' : 'odd'" } : {};
    return { uses: "map", with: { set: { v: `payload.v + '>${id}'`, w: String(version) }, ...types }, ...partition };
  }
  const onBad = onError === "drop" ? { action: "drop" } : { action: "dead_letter", to: deadLettersTo };
  const { chaosCommand, images } = surroundings;
  return {
    ...(images === undefined
      ? { command: [...chaosCommand, image] }
      : {
          image: images[image],
          entrypoint: [chaosCommand[0]],
          command: chaosCommand.slice(1),
          volumes: ["./chaos:/chaos:ro"],
        }),
    with: { version, refusedForGood: REFUSED_FOR_GOOD, refusedOnce: REFUSED_ONCE },
    on_error: { ...onBad, retries: 1, backoff: "5ms" },
    ...partition,
  };
}

function renderSink(id: string, { version, onSmallDisk }: Sink): Record<string, unknown> {
  const path = `./${onSmallDisk ? "small" : "out"}/${id}-{instance}.jsonl`;
  return { uses: "file", with: { path, remember: 1_000_000 + version } };
}

function renderInput({ from, types, buffer }: Input): Record<string, unknown> {
  return {
    from,
    ...(types.length === 0 ? {} : { types }),
    ...(buffer === undefined ? {} : { buffer: renderBuffer(buffer) }),
  };
}

const renderBuffer = ({ type, maxEvents, whenFull }: Buffer): Record<string, unknown> => ({
  type,
  max_events: maxEvents,
  when_full: whenFull,
});
