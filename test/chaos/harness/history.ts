import type { Config } from "./config.ts";

/** A span of time in which what runs is one of these files, and nobody can say which. */
export interface Epoch {
  /** Milliseconds since 1970. */
  readonly from: number;
  readonly configs: readonly Config[];
}

/**
 * What was asked of flowctl, and when. While a change is under way what runs may be as before or as after it; so it stays
 * after a change that was broken off, until one is carried through.
 */
export class History {
  readonly #epochs: Epoch[];

  constructor(first: Config) {
    this.#epochs = [{ from: 0, configs: [first] }];
  }

  get epochs(): readonly Epoch[] {
    return this.#epochs;
  }

  /** Says that a change has begun. */
  begin(next: Config, now: number): void {
    const possible = this.#epochs.at(-1)!.configs;
    this.#epochs.push({ from: now, configs: possible.includes(next) ? possible : [...possible, next] });
  }

  /** Says that what runs is this file for certain. */
  settle(config: Config, now: number): void {
    this.#epochs.push({ from: now, configs: [config] });
  }
}
