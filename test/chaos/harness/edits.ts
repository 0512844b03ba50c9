import {
  ANCHOR,
  type Buffer,
  type Component,
  type Config,
  type EventType,
  type Input,
  inputsOf,
  type Processor,
  problemOf,
  type Sink,
  type Source,
} from "./config.ts";

/** One change of the pipeline file, as plain data. */
export type Edit =
  /** `into`: what takes from it at once. */
  | { readonly op: "add"; readonly id: string; readonly component: Component; readonly into?: string }
  /** What took from it takes from whatever it took from; what only it took from goes with it. */
  | { readonly op: "remove"; readonly id: string }
  | { readonly op: "rename"; readonly id: string; readonly to: string }
  | { readonly op: "rewire"; readonly id: string; readonly from: readonly string[] }
  | { readonly op: "buffer"; readonly id: string; readonly input: string; readonly buffer: Buffer | null }
  | { readonly op: "types"; readonly id: string; readonly input: string; readonly types: readonly EventType[] }
  | { readonly op: "partition_by"; readonly id: string; readonly partitioned: boolean }
  | { readonly op: "on_error"; readonly id: string; readonly onError: Processor["onError"]; readonly to: string | null }
  | { readonly op: "with"; readonly id: string; readonly version: number }
  | { readonly op: "typed"; readonly id: string; readonly typed: boolean }
  | { readonly op: "environment"; readonly id: string; readonly environment: number }
  | { readonly op: "image"; readonly id: string; readonly image: "a" | "b" }
  | { readonly op: "replicas"; readonly id: string; readonly replicas: number };

/** The file after an edit; undefined where the edit does not fit it, or would leave a file that is not valid. */
export function applyEdit(config: Config, edit: Edit): Config | undefined {
  const components = changed(config.components, edit);
  if (components === undefined) return undefined;
  const result = { components: components[ANCHOR] === undefined ? components : withAnchor(components) };
  return problemOf(result) === undefined ? result : undefined;
}

type Components = Config["components"];

/** The anchor takes from every source, whatever else takes from it. */
function withAnchor(components: Components): Components {
  const anchor = components[ANCHOR] as Sink;
  const sources = Object.keys(components).filter((id) => components[id]!.kind === "source");
  const inputs = sources.map((from) => anchor.inputs.find((input) => input.from === from) ?? { from, types: [] });
  return { ...components, [ANCHOR]: { ...anchor, inputs } };
}

function changed(components: Components, edit: Edit): Components | undefined {
  if (edit.op === "add") return added(components, edit);
  const component = components[edit.id];
  if (component === undefined) return undefined;
  if (edit.op === "remove") return edit.id === ANCHOR ? undefined : removed(components, edit.id);
  if (edit.op === "rename") {
    return edit.id === ANCHOR || components[edit.to] !== undefined ? undefined : renamed(components, edit.id, edit.to);
  }
  const next = edited(component, edit);
  return next === undefined ? undefined : { ...components, [edit.id]: next };
}

function added(components: Components, { id, component, into }: Extract<Edit, { op: "add" }>): Components | undefined {
  if (components[id] !== undefined) return undefined;
  if (into === undefined) return { ...components, [id]: component };
  const below = components[into];
  if (below === undefined || below.kind === "source") return undefined;
  return { ...components, [into]: { ...below, inputs: [...below.inputs, { from: id, types: [] }] }, [id]: component };
}

function edited(component: Component, edit: Exclude<Edit, { op: "add" | "remove" | "rename" }>): Component | undefined {
  switch (edit.op) {
    case "replicas":
      return { ...component, replicas: edit.replicas };
    case "environment":
      return { ...component, environment: edit.environment };
    case "with":
      return component.kind === "source" ? undefined : { ...component, version: edit.version };
    case "rewire": {
      if (component.kind === "source") return undefined;
      const known = new Map(component.inputs.map((input) => [input.from, input]));
      return { ...component, inputs: edit.from.map((from) => known.get(from) ?? { from, types: [] }) };
    }
    case "buffer":
      return withInput(component, edit.input, ({ buffer: _buffer, ...input }) =>
        edit.buffer === null ? input : { ...input, buffer: edit.buffer },
      );
    case "types":
      return withInput(component, edit.input, (input) => ({ ...input, types: edit.types }));
    case "partition_by":
      return component.kind === "processor" ? { ...component, partitioned: edit.partitioned } : undefined;
    case "typed":
      return isProcessor(component, "map") ? { ...component, typed: edit.typed } : undefined;
    case "image":
      return isProcessor(component, "chaos") ? { ...component, image: edit.image } : undefined;
    case "on_error": {
      if (!isProcessor(component, "chaos")) return undefined;
      const { deadLettersTo: _to, ...rest } = component;
      return { ...rest, onError: edit.onError, ...(edit.to === null ? {} : { deadLettersTo: edit.to }) };
    }
  }
}

const isProcessor = (component: Component, program: Processor["program"]): component is Processor =>
  component.kind === "processor" && component.program === program;

function withInput(component: Component, from: string, change: (input: Input) => Input): Component | undefined {
  if (component.kind === "source" || !component.inputs.some((input) => input.from === from)) return undefined;
  return { ...component, inputs: component.inputs.map((input) => (input.from === from ? change(input) : input)) };
}

function removed(components: Components, id: string): Components {
  const { [id]: gone, ...rest } = components;
  const above = inputsOf(gone!).map(({ from }) => from);
  return Object.fromEntries(
    Object.entries(rest).flatMap(([other, component]): [string, Component][] => {
      if (component.kind === "source" || !component.inputs.some(({ from }) => from === id)) return [[other, component]];
      const kept = component.inputs.filter(({ from }) => from !== id);
      const taken = above.filter((from) => !kept.some((input) => input.from === from));
      const inputs = [...kept, ...taken.map((from): Input => ({ from, types: [] }))];
      return [[other, { ...component, inputs }]];
    }),
  );
}

function renamed(components: Components, id: string, to: string): Components {
  const named = (from: string): string => (from === id ? to : from);
  return Object.fromEntries(
    Object.entries(components).map(([other, component]): [string, Component] => {
      if (component.kind === "source") return [named(other), component satisfies Source];
      const inputs = component.inputs.map((input) => ({ ...input, from: named(input.from) }));
      if (component.kind === "sink") return [named(other), { ...component, inputs }];
      const letters = component.deadLettersTo;
      return [
        named(other),
        { ...component, inputs, ...(letters === undefined ? {} : { deadLettersTo: named(letters) }) },
      ];
    }),
  );
}
