import { type Component, type Config, type EventType, type Input, inputsOf, isLossy } from "./config.ts";
import { REFUSED_FOR_GOOD } from "./render.ts";

/** What decides which way an event goes: its source, whether its number is even, and whether some processors refuse it. */
export interface EventClass {
  readonly source: string;
  readonly even: boolean;
  readonly refused: boolean;
}

export const isRefused = (n: number): boolean => n % REFUSED_FOR_GOOD === 0;

/**
 * The ways on which every event of a class reaches each sink without loss, by sink. A way is the ids from the source down to
 * the sink; a `!` stands before a sink that gets the event as a dead letter.
 */
export function losslessPaths(config: Config, { source, even, refused }: EventClass): ReadonlyMap<string, Set<string>> {
  const found = new Map<string, Set<string>>();
  const arrive = (sink: string, path: string): void => {
    const paths = found.get(sink) ?? new Set();
    found.set(sink, paths.add(path));
  };
  const edges = edgesBelow(config);
  const goOn = (id: string, path: string, type: EventType): void => {
    for (const { to, component, input } of edges.get(id) ?? []) {
      if (isLossy(input) || (input.types.length > 0 && !input.types.includes(type))) continue;
      if (component.kind === "sink") {
        arrive(to, `${path}>${to}`);
      } else if (component.kind === "processor") {
        if (component.program === "chaos" && refused) {
          const letters = component.onError === "dead_letter" ? component.deadLettersTo : undefined;
          if (letters !== undefined) arrive(letters, `${path}>${to}!${letters}`);
        } else {
          goOn(to, `${path}>${to}`, component.typed ? (even ? "even" : "odd") : type);
        }
      }
    }
  };
  if (config.components[source] !== undefined) goOn(source, source, "plain");
  return found;
}

interface Edge {
  readonly to: string;
  readonly component: Component;
  readonly input: Input;
}

function edgesBelow({ components }: Config): ReadonlyMap<string, readonly Edge[]> {
  const below = new Map<string, Edge[]>();
  for (const [to, component] of Object.entries(components)) {
    for (const input of inputsOf(component)) {
      const edges = below.get(input.from) ?? [];
      edges.push({ to, component, input });
      below.set(input.from, edges);
    }
  }
  return below;
}
