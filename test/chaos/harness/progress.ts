/** No busy machine takes longer for anything, in milliseconds. */
const LONGEST_MS = 600_000;

/** Tells a pipeline that stands still from one that is slow: by whether a figure grows. */
export class Progress {
  readonly #stillMs: number;
  readonly #measure: () => Promise<number>;
  readonly #began = Date.now();
  #last = -1;
  #grewAt = Date.now();

  /** @param stillMs So long the figure may stay as it is. */
  constructor(stillMs: number, measure: () => Promise<number>) {
    this.#stillMs = stillMs;
    this.#measure = measure;
  }

  /** Whether it has not grown for too long, or all of it takes too long. */
  async isOver(): Promise<boolean> {
    const figure = await this.#measure();
    const now = Date.now();
    if (figure > this.#last) {
      this.#last = figure;
      this.#grewAt = now;
    }
    return now - this.#grewAt > this.#stillMs || now - this.#began > LONGEST_MS;
  }
}
