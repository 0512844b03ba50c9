import { linkedSignal } from "../../foundation/linked-signal.ts";
import type { Decision } from "./policy.ts";

/** A decision that takes time. */
export type Work = Exclude<Decision, { readonly type: "withdraw" }>;

/** What a driver is asked for and has not answered, by what it is about. */
export class UnderWay {
  readonly #works = new Map<string, { readonly done: Promise<void>; withdraw(): void }>();

  /**
   * Begins `work`, which never rejects. Its signal fires with `signal`, when the work is withdrawn, and when another work begins that is
   * about the same; that one is under way until both have ended.
   */
  begin(about: string, signal: AbortSignal, work: (signal: AbortSignal) => Promise<void>): void {
    this.withdraw(about);
    const own = new AbortController();
    const linked = linkedSignal(signal, own.signal);
    const before = this.#works.get(about)?.done;
    const done = Promise.all([before, work(linked.signal)]).then(() => {
      linked.release();
      if (this.#works.get(about)?.done === done) this.#works.delete(about);
    });
    this.#works.set(about, { done, withdraw: () => own.abort() });
  }

  /** Breaks off what is under way about it, if anything is. */
  withdraw(about: string): void {
    this.#works.get(about)?.withdraw();
  }

  /** Resolves when nothing is under way any more that was begun before, about any of these, or about anything. */
  async settled(about?: ReadonlySet<string>): Promise<void> {
    const works = [...this.#works].filter(([key]) => about?.has(key) ?? true);
    await Promise.all(works.map(([, { done }]) => done));
  }
}
