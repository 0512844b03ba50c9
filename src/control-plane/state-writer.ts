import type { FlowctlError } from "../foundation/errors.ts";
import type { Store, StoreChange } from "./store/store.ts";

interface Waiter {
  readonly resolve: () => void;
  readonly reject: (error: unknown) => void;
}

/**
 * Writes state to the store in the order in which it changed, one batch at a time: what changes while a batch is being
 * written goes into the next one, and of several values of one key only the last is written. So a hundred checkpoints
 * that arrive together cost one disk flush.
 */
export class StateWriter {
  readonly #store: Store;
  readonly #onFailure: (error: FlowctlError) => void;
  #pending = new Map<string, (() => Uint8Array) | undefined>();
  #waiters: Waiter[] = [];
  #running: Promise<void> | undefined;
  #failure: unknown;
  /** The last change that was written without waiting for the disk since something last was. */
  #unsynced: StoreChange | undefined;

  /** `onFailure` is called once, when the store cannot be written any more. */
  constructor(store: Store, onFailure: (error: FlowctlError) => void) {
    this.#store = store;
    this.#onFailure = onFailure;
  }

  /** The value is asked for when it is written. Returns at once. */
  put(key: string, value: () => Uint8Array): void {
    this.#pending.set(key, value);
    this.#start();
  }

  delete(key: string): void {
    this.#pending.set(key, undefined);
    this.#start();
  }

  /** Resolves when everything that was changed so far survives a crash of the machine; rejects when it will not. */
  durable(): Promise<void> {
    return new Promise((resolve, reject) => {
      this.#waiters.push({ resolve, reject });
      this.#start();
    });
  }

  /** Resolves when everything is written, or nothing can be. */
  async flush(): Promise<void> {
    await this.#running;
  }

  #start(): void {
    this.#running ??= this.#run().finally(() => {
      this.#running = undefined;
      if (this.#pending.size > 0 || this.#waiters.length > 0) this.#start();
    });
  }

  async #run(): Promise<void> {
    // Everything that changes in the same turn belongs to the same batch.
    await Promise.resolve();
    const [pending, waiters] = [this.#pending, this.#waiters];
    this.#pending = new Map();
    this.#waiters = [];
    try {
      if (this.#failure !== undefined) throw this.#failure;
      await this.#write(toChanges(pending), waiters.length > 0);
    } catch (error) {
      if (this.#failure === undefined) this.#onFailure(error as FlowctlError);
      this.#failure ??= error;
      for (const waiter of waiters) waiter.reject(error);
      return;
    }
    for (const waiter of waiters) waiter.resolve();
  }

  /** A store waits for the disk with something that it writes: where there is nothing new, that is the last change once more. */
  async #write(changes: readonly StoreChange[], durable: boolean): Promise<void> {
    const written = durable && changes.length === 0 && this.#unsynced !== undefined ? [this.#unsynced] : changes;
    await this.#store.write(written, { durable });
    this.#unsynced = durable ? undefined : (changes.at(-1) ?? this.#unsynced);
  }
}

function toChanges(pending: ReadonlyMap<string, (() => Uint8Array) | undefined>): readonly StoreChange[] {
  return [...pending].map(([key, value]) =>
    value === undefined ? { type: "del", key } : { type: "put", key, value: value() },
  );
}
