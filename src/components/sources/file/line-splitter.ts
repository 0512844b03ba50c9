/** One line of a file. */
export interface Line {
  /** Without its line break (`\n` or `\r\n`) and without a byte order mark. Empty when `tooLong`. */
  readonly bytes: Uint8Array;
  /** From 1. */
  readonly number: number;
  /** Offset in the file of what follows the line. */
  readonly end: number;
  /** Longer than the limit: its bytes were let go. */
  readonly tooLong: boolean;
}

const newline = 0x0a;
const carriageReturn = 0x0d;
const noBytes = new Uint8Array();

/** Cuts a stream of bytes into lines, however the bytes come in pieces. Holds at most one line of `maxBytes`. */
export class LineSplitter {
  readonly #maxBytes: number;
  #offset: number;
  #number: number;
  #pieces: Uint8Array[] = [];
  #held = 0;
  #tooLong = false;

  /** `offset` and `number`: where in the file the first byte is, and how many lines come before it. */
  constructor(options: { readonly offset: number; readonly number: number; readonly maxBytes: number }) {
    this.#offset = options.offset;
    this.#number = options.number;
    this.#maxBytes = options.maxBytes;
  }

  /** The lines that this piece finishes. They may share its memory. */
  *push(piece: Uint8Array): Generator<Line, void, void> {
    let start = 0;
    for (let end = piece.indexOf(newline); end !== -1; end = piece.indexOf(newline, start)) {
      this.#hold(piece.subarray(start, end));
      this.#offset += end + 1 - start;
      start = end + 1;
      yield this.#finish();
    }
    if (start === piece.length) return;
    this.#hold(piece.subarray(start));
    this.#offset += piece.length - start;
  }

  /** What is there after the last line break, when there is something. */
  end(): Line | undefined {
    return this.#held === 0 && !this.#tooLong ? undefined : this.#finish();
  }

  #hold(piece: Uint8Array): void {
    if (this.#tooLong || piece.length === 0) return;
    this.#held += piece.length;
    // The carriage return of the line break does not count.
    if (this.#held > this.#maxBytes + 1) {
      this.#tooLong = true;
      this.#pieces = [];
      this.#held = 0;
      return;
    }
    this.#pieces.push(piece);
  }

  #finish(): Line {
    this.#number += 1;
    const whole = this.#pieces.length === 1 ? this.#pieces[0]! : Buffer.concat(this.#pieces);
    const bytes = withoutMarks(whole, this.#number === 1);
    const tooLong = this.#tooLong || bytes.length > this.#maxBytes;
    this.#pieces = [];
    this.#held = 0;
    this.#tooLong = false;
    return { bytes: tooLong ? noBytes : bytes, number: this.#number, end: this.#offset, tooLong };
  }
}

function withoutMarks(bytes: Uint8Array, first: boolean): Uint8Array {
  const start = first && bytes[0] === 0xef && bytes[1] === 0xbb && bytes[2] === 0xbf ? 3 : 0;
  const end = bytes.at(-1) === carriageReturn ? bytes.length - 1 : bytes.length;
  return start === 0 && end === bytes.length ? bytes : bytes.subarray(start, end);
}
