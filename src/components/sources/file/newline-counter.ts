import type { OffsetPosition } from "./position.ts";

const newline = 0x0a;

/** Counts the line breaks before an offset, of bytes that run ahead of whoever asks. Offsets asked for must not go back. */
export class NewlineCounter {
  #read: number;
  #lines: number;
  /** Offsets after the line breaks that were seen and not yet counted. */
  #ahead: number[] = [];

  constructor(start: OffsetPosition) {
    this.#read = start.offset;
    this.#lines = start.line;
  }

  /** Passes the chunks on, and notes where their line breaks are. */
  async *through(chunks: AsyncIterable<Uint8Array>): AsyncGenerator<Uint8Array, void, void> {
    for await (const chunk of chunks) {
      for (let at = chunk.indexOf(newline); at !== -1; at = chunk.indexOf(newline, at + 1)) {
        this.#ahead.push(this.#read + at + 1);
      }
      this.#read += chunk.length;
      yield chunk;
    }
  }

  /** How many line breaks there are before an offset. */
  before(offset: number): number {
    const end = this.#ahead.findIndex((after) => after > offset);
    const passed = end === -1 ? this.#ahead.length : end;
    if (passed > 0) this.#ahead.splice(0, passed);
    this.#lines += passed;
    return this.#lines;
  }
}
