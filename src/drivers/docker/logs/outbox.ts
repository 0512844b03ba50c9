import { cancelled } from "../../../foundation/clock.ts";

/** How many items wait before producers have to. */
const CAPACITY = 1_000;

/**
 * Several producers, one consumer: items come out in the order in which they were put. A full outbox makes producers
 * wait. It ends by `fail`, whose error the consumer gets after what was put before, or by the signal.
 */
export class Outbox<T> implements AsyncIterable<T> {
  readonly #signal: AbortSignal;
  readonly #items: T[] = [];
  #failure: { readonly error: unknown } | undefined;
  #changed = withResolvers();

  constructor(signal: AbortSignal) {
    this.#signal = signal;
    signal.addEventListener("abort", () => this.#notify(), { once: true });
  }

  async put(item: T): Promise<void> {
    while (this.#items.length >= CAPACITY && !this.#signal.aborted && this.#failure === undefined) {
      await this.#changed.promise;
    }
    if (this.#signal.aborted) throw cancelled(this.#signal);
    this.#items.push(item);
    this.#notify();
  }

  fail(error: unknown): void {
    this.#failure ??= { error };
    this.#notify();
  }

  async *[Symbol.asyncIterator](): AsyncGenerator<T> {
    for (;;) {
      while (this.#items.length > 0) {
        yield this.#items.shift() as T;
        if (this.#items.length === CAPACITY - 1) this.#notify();
      }
      if (this.#signal.aborted) throw cancelled(this.#signal);
      if (this.#failure !== undefined) throw this.#failure.error;
      await this.#changed.promise;
    }
  }

  #notify(): void {
    const { resolve } = this.#changed;
    this.#changed = withResolvers();
    resolve();
  }
}

function withResolvers(): { promise: Promise<void>; resolve: () => void } {
  let resolve: () => void = () => undefined;
  const promise = new Promise<void>((done) => {
    resolve = done;
  });
  return { promise, resolve };
}
