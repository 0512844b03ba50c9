import { FlowctlError } from "../foundation/errors.ts";
import type { Event } from "./event.ts";
import { IdWindow } from "./id-window.ts";
import { StateLog } from "./state-log.ts";

export interface WrittenIdsOptions {
  /**
   * How many of the last events are remembered at least; default 100,000. A replay sends again what was in flight, and what
   * was acknowledged since the source stored its position, which it does every tenth of a second: less than the default up to
   * some 800,000 events a second. 0 remembers none, and still keeps the notes of `begin`.
   */
  readonly remember?: number;
  /** Names the record; default `written`. A sink that writes to several places keeps one of each. */
  readonly name?: string;
}

interface Entry<Note> {
  readonly ids: readonly string[];
  /** Set where the entry was recorded before its events were written: nothing tells whether they were. */
  readonly begun?: true;
  readonly note?: Note;
}

/**
 * The memory of a sink of what it wrote, in its state directory, which makes it effectively once: it writes no event a
 * second time that comes again within the horizon. Opened by `openWrittenIds`.
 *
 * Every event of a batch has to be written to the outside and recorded here; no step does both, so a crash between the
 * two has to be thought of. The order decides what it does:
 *
 * - **Write first, then `add`.** A crash between them leaves events that were written and are not known: they come again
 *   and are written again. At least once, with the repetitions limited to the one batch that a crash interrupted. Right for
 *   an outside where writing again does no harm.
 * - **`begin` first, then write.** A crash between them leaves a batch of which nobody knows whether it was written: at
 *   the next start it is `doubtful`, with the note that `begin` was given. The sink looks outside (for a row, for bytes at
 *   a place, for an answer to a request with the same key) and says `settle(true)` or `settle(false)`. Effectively once, as
 *   far as the sink can tell from outside. A sink that cannot look chooses: `settle(false)` writes again (at least once),
 *   `settle(true)` does not (at most once).
 *
 * One batch at a time: calls must not overlap. The record belongs to one instance and goes with `flowctl down -v`; from
 * then on nothing is known.
 *
 * @example
 * ```ts
 * async open({ config, stateDirectory }) {
 *   const written = await openWrittenIds<{ order: string }>(stateDirectory);
 *   if (written.doubtful) await written.settle(await shop.has(written.doubtful.note.order));
 *   return {
 *     async write(events) {
 *       for (const event of written.fresh(events)) {
 *         await written.begin([event], { order: event.id });
 *         await written.sync();
 *         await shop.place({ order: event.id, ...(event.json() as Order) });
 *       }
 *     },
 *     close: () => written.close(),
 *   };
 * }
 * ```
 */
export interface WrittenIds<Note = undefined> {
  /** How many events the record knew when it was opened. */
  readonly remembered: number;
  /** The last batch, where it was begun and a crash may have come before it was written. Until it is settled. */
  readonly doubtful: { readonly note: Note } | undefined;
  /** Says whether the doubtful batch is written; durable. To be called before anything is recorded, if at all needed. */
  settle(isWritten: boolean): Promise<void>;
  has(event: Event): boolean;
  /** Those of a batch that are not written yet, each once, in their order. */
  fresh(events: readonly Event[]): readonly Event[];
  /** Records what has been written. When it resolves, that survives a power cut. */
  add(events: readonly Event[]): Promise<void>;
  /**
   * Records what is about to be written, with a note that tells where; JSON. When it resolves, that survives a kill of this
   * process; a power cut, after `sync`, which may be awaited together with the outside.
   */
  begin(events: readonly Event[], note: Note): Promise<void>;
  sync(): Promise<void>;
  /** Takes the last `begin` back, once: nothing of it was written. */
  undo(): Promise<void>;
  close(): Promise<void>;
}

/** Small batches fill a record as much as this many ids do, so that it stays small on disk. */
const leastCapacity = 1_000;

/**
 * Opens the record of what a sink wrote; makes it when there is none. `stateDirectory` is that of the component's context.
 * Reads at most about twice `remember` ids.
 */
export async function openWrittenIds<Note = undefined>(
  stateDirectory: string,
  options: WrittenIdsOptions = {},
): Promise<WrittenIds<Note>> {
  const { remember = 100_000, name = "written" } = options;
  const { log, entries } = await StateLog.open<Entry<Note>>(
    { directory: stateDirectory, name, capacity: Math.max(remember, leastCapacity) },
    weigh,
  );
  return new WrittenRecord(log, entries, remember);
}

/**
 * What an event is remembered by. The neighbour it came from belongs to it: one event that comes on two ways is two to a
 * sink. So does, for a dead letter, what its component had it from: one that is replayed and fails again is a new letter.
 */
function identityOf(event: Event): string {
  const before = event.metadata["flowctl.dead_letter.upstream"];
  return `${event.upstream}/${before === undefined ? "" : `${before}/`}${event.id}`;
}

class WrittenRecord<Note> implements WrittenIds<Note> {
  readonly #log: StateLog<Entry<Note>>;
  readonly #window: IdWindow;
  readonly #remember: number;
  readonly remembered: number;
  #doubtful: Entry<Note> | undefined;
  #last: readonly string[] = [];

  constructor(log: StateLog<Entry<Note>>, entries: readonly Entry<Note>[], remember: number) {
    this.#log = log;
    this.#remember = remember;
    this.#window = new IdWindow(remember);
    const last = entries.at(-1);
    if (last?.begun) this.#doubtful = last;
    for (const { ids } of entries) for (const id of ids) this.#window.add(id);
    this.remembered = entries.reduce((sum, { ids }) => sum + ids.length, 0);
  }

  get doubtful(): { readonly note: Note } | undefined {
    return this.#doubtful === undefined ? undefined : { note: this.#doubtful.note as Note };
  }

  async settle(isWritten: boolean): Promise<void> {
    const doubtful = this.#doubtful;
    if (doubtful === undefined) return;
    if (!isWritten) await this.#retract(doubtful.ids);
    this.#doubtful = undefined;
  }

  has(event: Event): boolean {
    return this.#window.has(identityOf(event));
  }

  fresh(events: readonly Event[]): readonly Event[] {
    const batch = new Set<string>();
    return events.filter((event) => {
      const id = identityOf(event);
      if (this.#window.has(id) || batch.has(id)) return false;
      batch.add(id);
      return true;
    });
  }

  async add(events: readonly Event[]): Promise<void> {
    await this.#append(events, {});
    await this.#log.sync();
  }

  async begin(events: readonly Event[], note: Note): Promise<void> {
    await this.#append(events, { begun: true, note });
  }

  async sync(): Promise<void> {
    await this.#log.sync();
  }

  async undo(): Promise<void> {
    await this.#retract(this.#last);
    this.#last = [];
  }

  async close(): Promise<void> {
    await this.#log.close();
  }

  async #append(events: readonly Event[], rest: Omit<Entry<Note>, "ids">): Promise<void> {
    if (this.#doubtful !== undefined) {
      throw new FlowctlError({
        code: "sdk/written-unsettled",
        kind: "invalid",
        message: "the last batch before the crash was not settled",
        fix: "call settle after opening the record and before writing",
      });
    }
    const ids = this.#remember === 0 ? [] : events.map(identityOf);
    const entry: Entry<Note> = { ids, ...rest };
    await this.#log.append(entry, weigh(entry));
    for (const id of ids) this.#window.add(id);
    this.#last = ids;
  }

  async #retract(ids: readonly string[]): Promise<void> {
    await this.#log.retract();
    await this.#log.sync();
    for (const id of ids) this.#window.delete(id);
  }
}

function weigh({ ids }: Entry<unknown>): number {
  return Math.max(ids.length, 1);
}
