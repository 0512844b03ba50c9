import { z } from "zod";
import type { ComponentDefinition } from "../../src/sdk/component.ts";
import { defineSink, defineSource, type Event } from "../../src/sdk/index.ts";

export const anything = z.record(z.string(), z.unknown());

/** Emits the numbers 1 to `count`; goes on where it stopped. `committed` positions are kept. */
export function numbers(count: number, committed: number[] = []): ComponentDefinition {
  return defineSource<unknown, number>({
    name: "numbers",
    version: "1",
    config: anything,
    open: ({ position = 0, signal }) => ({
      async run(emit) {
        for (let n = position + 1; n <= count && !signal.aborted; n++) await emit({ type: "number", json: { n } }, n);
      },
      committed: async (reached) => void committed.push(reached),
    }),
  });
}

export function collect(into: Event[], refuse: (event: Event) => boolean = () => false): ComponentDefinition {
  return defineSink({
    name: "collect",
    version: "1",
    config: anything,
    open: () => ({
      async write(events) {
        const bad = events.find(refuse);
        if (bad !== undefined) throw new Error(`cannot write ${bad.id}`);
        into.push(...events);
      },
    }),
  });
}

export function numbersOf(events: readonly Event[]): number[] {
  return events.map((event) => (event.json() as { n: number }).n);
}

export function oneTo(count: number): number[] {
  return Array.from({ length: count }, (_, i) => i + 1);
}

export async function until(condition: () => boolean | Promise<boolean>): Promise<void> {
  while (!(await condition())) await new Promise((resolve) => setTimeout(resolve, 5));
}
