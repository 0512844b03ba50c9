/** What a pipeline file says, as plain data: the part of it that the harness edits. */
export interface Config {
  readonly components: Readonly<Record<string, Component>>;
}

export type Component = Source | Processor | Sink;

interface Common {
  readonly replicas: number;
  /** The value of a variable of its environment: another one is another environment. */
  readonly environment: number;
}

export interface Source extends Common {
  readonly kind: "source";
  /** Events a second. */
  readonly rate: number;
  /** Where it ends; undefined for an endless one. */
  readonly count?: number;
}

export interface Processor extends Common {
  readonly kind: "processor";
  /** `map`: the built-in. `chaos`: a program of its own, that refuses some events the first time and some always. */
  readonly program: "map" | "chaos";
  readonly inputs: readonly Input[];
  /** A setting of `with` that changes what is written, but not which events. */
  readonly version: number;
  /** Whether equal keys stay on one instance. */
  readonly partitioned: boolean;
  /** Gives its events the type `even` or `odd`. `map` alone. */
  readonly typed: boolean;
  /** Of the events that it refuses for good. `chaos` alone. */
  readonly onError: "drop" | "dead_letter";
  /** The sink that its dead letters go to. */
  readonly deadLettersTo?: string;
  /** Which of two equal programs runs: another image, or another command line where there are none. */
  readonly image: "a" | "b";
}

export interface Sink extends Common {
  readonly kind: "sink";
  readonly inputs: readonly Input[];
  readonly version: number;
  /** On a file system of its own, that can be filled. */
  readonly onSmallDisk: boolean;
}

export interface Input {
  readonly from: string;
  /** Event types it lets through; empty for any. */
  readonly types: readonly EventType[];
  readonly buffer?: Buffer;
}

export type EventType = "plain" | "even" | "odd";

export interface Buffer {
  readonly type: "memory" | "disk";
  readonly maxEvents: number;
  readonly whenFull: "block" | "drop_newest" | "drop_oldest";
}

/** The sink that takes every source's events itself, and keeps them all: what it has says what was sent. */
export const ANCHOR = "anchor";

export const isLossy = ({ buffer }: Input): boolean => buffer !== undefined && buffer.whenFull !== "block";

export const inputsOf = (component: Component): readonly Input[] =>
  component.kind === "source" ? [] : component.inputs;

/** Ids of one kind, in the order of the file. */
export function idsOf(config: Config, kind: Component["kind"]): readonly string[] {
  return Object.entries(config.components).flatMap(([id, component]) => (component.kind === kind ? [id] : []));
}

/** Instance ids of a component. */
export const instancesOf = (id: string, { replicas }: Component): readonly string[] =>
  Array.from({ length: replicas }, (_, index) => `${id}-${index + 1}`);

/** Why the file would not be valid; undefined when it is. */
export function problemOf({ components }: Config): string | undefined {
  const consumed = new Set<string>();
  for (const [id, component] of Object.entries(components)) {
    const inputs = inputsOf(component);
    if (component.kind !== "source" && inputs.length === 0) return `${id} has no inputs`;
    if (new Set(inputs.map(({ from }) => from)).size < inputs.length) return `${id} takes from one component twice`;
    for (const { from } of inputs) {
      const upstream = components[from];
      if (upstream === undefined || upstream.kind === "sink") return `${id} takes from ${from}, which is none`;
      consumed.add(from);
    }
    if (component.kind === "processor" && component.deadLettersTo !== undefined) {
      if (components[component.deadLettersTo]?.kind !== "sink") return `${id} has no sink for its dead letters`;
    }
  }
  for (const [id, component] of Object.entries(components)) {
    if (component.kind !== "sink" && !consumed.has(id)) return `nothing takes the events of ${id}`;
  }
  return hasCycle(components) ? "there is a cycle" : undefined;
}

function hasCycle(components: Config["components"]): boolean {
  const done = new Set<string>();
  const visit = (id: string, above: readonly string[]): boolean => {
    if (above.includes(id)) return true;
    if (done.has(id)) return false;
    const found = inputsOf(components[id]!).some(({ from }) => visit(from, [...above, id]));
    done.add(id);
    return found;
  };
  return Object.keys(components).some((id) => visit(id, []));
}
