import { IdWindow } from "../../sdk/id-window.ts";
import { StateLog } from "../../sdk/state-log.ts";

interface SeenEntry {
  readonly ids: readonly string[];
}

/** Ids that were emitted, remembered over restarts once everything below has acknowledged them. */
export class SeenIds {
  readonly #log: StateLog<SeenEntry>;
  readonly #window: IdWindow;
  /** Emitted and not yet acknowledged, oldest first; `mark` grows from id to id. */
  #open: { readonly mark: number; readonly id: string }[] = [];

  private constructor(log: StateLog<SeenEntry>, window: IdWindow) {
    this.#log = log;
    this.#window = window;
  }

  /** `name`: of the file that they are kept in; for each thing that is read another one. */
  static async open(directory: string, name: string, remember: number): Promise<SeenIds> {
    const { log, entries } = await StateLog.open<SeenEntry>(
      { directory, name, capacity: remember },
      (entry) => entry.ids.length,
    );
    const window = new IdWindow(remember);
    for (const { ids } of entries) for (const id of ids) window.add(id);
    return new SeenIds(log, window);
  }

  has(id: string): boolean {
    return this.#window.has(id);
  }

  /** The id is emitted with a position that is known by `mark`. */
  emitted(id: string, mark: number): void {
    this.#window.add(id);
    this.#open.push({ mark, id });
  }

  /** Everything up to `mark` is acknowledged: its ids are on the disk when this resolves. */
  async acknowledged(mark: number): Promise<void> {
    const end = this.#open.findIndex((entry) => entry.mark > mark);
    const done = this.#open.slice(0, end === -1 ? undefined : end);
    if (done.length === 0) return;
    this.#open = end === -1 ? [] : this.#open.slice(end);
    await this.#log.append({ ids: done.map((entry) => entry.id) }, done.length);
    await this.#log.sync();
  }

  async close(): Promise<void> {
    await this.#log.close();
  }
}
