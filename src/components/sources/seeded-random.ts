/** Random numbers that depend on nothing but a seed and a sequence number, so that a replay makes the same events. */
export class SeededRandom {
  readonly #seed: number;
  #state = 0;

  /** `seed`: an integer. */
  constructor(seed: number) {
    this.#seed = mix(Math.trunc(seed) | 0);
  }

  /** Starts the numbers of one event. */
  reset(sequence: number): void {
    this.#state = this.#seed ^ mix(sequence | 0) ^ mix(Math.floor(sequence / 0x1_0000_0000) + 1);
  }

  /** In [0, 1). */
  next(): number {
    this.#state = (this.#state + 0x9e37_79b9) | 0;
    return (mix(this.#state) >>> 0) / 0x1_0000_0000;
  }
}

/** Spreads the bits of an integer over 32 bits: one-to-one, and no two neighbours look alike. */
function mix(value: number): number {
  let bits = value;
  bits = Math.imul(bits ^ (bits >>> 16), 0x85eb_ca6b);
  bits = Math.imul(bits ^ (bits >>> 13), 0xc2b2_ae35);
  return bits ^ (bits >>> 16);
}
