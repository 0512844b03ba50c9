import { FlowctlError } from "../foundation/errors.ts";
import type { Event } from "./event.ts";
import { IdWindow } from "./id-window.ts";
import { StateLog } from "./state-log.ts";

export interface WrittenIdsOptions {
  /**
   * Minimum number of recent events to remember. Default: 100,000. A replay redelivers the events in flight and those acknowledged
   * since the source last stored its position, which it does every tenth of a second, or every second as long as that is fewer than
   * 1,000 events: fewer than the default up to some 800,000 events per second. 0 remembers none, but still keeps the notes of `begin`.
   */
  readonly remember?: number;
  /** Name of the record. Default: `written`. A sink that writes to several destinations keeps one record for each. */
  readonly name?: string;
}

interface Entry<Note> {
  readonly ids: readonly string[];
  /** Set where the entry was recorded before its events were written: nothing tells whether they were. */
  readonly begun?: true;
  readonly note?: Note;
}

/**
 * A record of the events that a sink has written, in its state directory. It makes the sink effectively once: the sink does not
 * write an event again that is redelivered while the record remembers it. Opened with `openWrittenIds`.
 *
 * Every event of a batch must be written to the external system and recorded here. These are two steps, and a crash can happen
 * between them. Their order decides the guarantee:
 *
 * - **Write first, then `add`.** After a crash in between, events were written but not recorded: they are redelivered and written
 *   again. At least once, with duplicates limited to the batch that the crash interrupted. Suitable if writing an event twice does
 *   no harm.
 * - **`begin` first, then write.** After a crash in between, it is unknown whether the batch was written: on the next start it is
 *   `doubtful`, with the note passed to `begin`. The sink checks the external system (for a row, for bytes at an offset, for the
 *   response to a request with the same key) and calls `settle(true)` or `settle(false)`. Effectively once, as far as the sink can
 *   check. A sink that cannot check chooses: `settle(false)` writes again (at least once), `settle(true)` does not (at most once).
 *
 * One batch at a time: calls must not overlap. The record belongs to one instance; `flowctl down -v` deletes it.
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
  /** Number of events in the record when it was opened. */
  readonly remembered: number;
  /** The last batch, if a crash may have happened between `begin` and its write; undefined once it is settled. */
  readonly doubtful: { readonly note: Note } | undefined;
  /** Records durably whether the doubtful batch was written. Call it before anything else is recorded. */
  settle(isWritten: boolean): Promise<void>;
  has(event: Event): boolean;
  /** The events of a batch that are not written yet, each once, in order. */
  fresh(events: readonly Event[]): readonly Event[];
  /** Records written events. When it resolves, the record survives a power failure. */
  add(events: readonly Event[]): Promise<void>;
  /**
   * Records events that are about to be written, with a JSON note that says where. When it resolves, the record survives a kill of
   * this process. It survives a power failure after `sync`, which may be awaited together with the write.
   */
  begin(events: readonly Event[], note: Note): Promise<void>;
  sync(): Promise<void>;
  /** Reverts the last `begin`, once: none of its events were written. */
  undo(): Promise<void>;
  close(): Promise<void>;
}

/** Small batches fill a record as much as this many ids do, so that it stays small on disk. */
const leastCapacity = 1_000;

/**
 * Opens the record of written events, and creates it if it does not exist. `stateDirectory` is the one in the component context.
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
