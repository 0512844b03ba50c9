/** Remembers the last ids it was given: at least `capacity` of them, at most twice that. */
export class IdWindow {
  readonly #capacity: number;
  #recent = new Set<string>();
  #older = new Set<string>();

  /** `capacity` 0 remembers nothing. */
  constructor(capacity: number) {
    this.#capacity = capacity;
  }

  has(id: string): boolean {
    return this.#recent.has(id) || this.#older.has(id);
  }

  add(id: string): void {
    if (this.#capacity === 0) return;
    if (this.#recent.size >= this.#capacity) {
      this.#older = this.#recent;
      this.#recent = new Set();
    }
    this.#recent.add(id);
  }

  delete(id: string): void {
    this.#recent.delete(id);
    this.#older.delete(id);
  }
}
