import type { EventView } from "../../protocol/event-view.ts";
import type { Downstream } from "../../protocol/records.ts";

/** One way by which events reach a group. */
interface Way {
  /** Undefined: all. */
  readonly types: ReadonlySet<string> | undefined;
  readonly deadLetters: boolean;
}

/** Which events a group takes, as its inputs say. */
export class Filter {
  /** Takes everything that is no dead letter. */
  static readonly ALL = new Filter([{ types: undefined, deadLetters: false }]);
  static readonly NOTHING = new Filter([]);

  private readonly ways: readonly Way[];
  /** Whether it takes every event that is no dead letter. */
  readonly takesAll: boolean;

  private constructor(ways: readonly Way[]) {
    this.ways = ways;
    this.takesAll = ways.some(({ types, deadLetters }) => types === undefined && !deadLetters);
  }

  /** The filter of a group: one definition, or two when dead letters go there as well. One that drains takes nothing new. */
  static of(definitions: readonly Downstream[]): Filter {
    return new Filter(
      definitions
        .filter(({ draining }) => draining !== true)
        .map(({ types, deadLetters }) => ({
          types: types.length === 0 || deadLetters ? undefined : new Set(types),
          deadLetters,
        })),
    );
  }

  /** Whether it takes nothing at all. */
  get takesNothing(): boolean {
    return this.ways.length === 0;
  }

  /** Throws `protocol/malformed` when it has to know the type of a damaged event. */
  wants(event: EventView, deadLetter: boolean): boolean {
    if (this.takesAll && !deadLetter) return true;
    const { ways } = this;
    for (let i = 0; i < ways.length; i++) {
      const way = ways[i]!;
      if (way.deadLetters === deadLetter && (way.types === undefined || way.types.has(event.type))) return true;
    }
    return false;
  }
}
