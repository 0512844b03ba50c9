import type { Random } from "../chaos/harness/random.ts";
import type { Holdings } from "./target.ts";

/** One input, which its number and the seed alone decide. */
export interface Input {
  readonly seed: number;
  readonly number: number;
  readonly random: Random;
}

/** The program that is attacked. */
export interface Watched {
  measure(): Promise<Holdings>;
  /** Throws, with what is known of it, when the program has ended. */
  requireAlive(): void;
  /** Resolves when it has ended, at the latest after `patienceMs`. */
  ended(patienceMs: number): Promise<void>;
}

/** A server under attack, with the honest ones beside the attacker. */
export interface Attack extends AsyncDisposable {
  readonly target: Watched;
  /** Sends inputs, on as few connections as they allow. Resolves when the server has dealt with them. */
  send(inputs: readonly Input[]): Promise<void>;
  /** Asks whether the honest ones are served, and have lost nothing. Throws with what is wrong. */
  check(): Promise<void>;
  /** The same at the end, once whatever the attacker held is let go of. */
  finish(): Promise<void>;
}

export interface Port {
  /** How many inputs are sent before it is checked. */
  readonly batch: number;
  /** What the program may hold at the end more than at the beginning, in MiB. */
  readonly growthMiB: number;
  /** Resident memory that it may have after any batch, in MiB. */
  readonly residentMiB: number;
  open(all: boolean): Promise<Attack>;
}
