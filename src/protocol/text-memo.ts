const ENTRIES = 16;
const MAX_BYTES = 64;

/**
 * Decodes short texts that come again and again, such as event types: what was decoded lately is found by its bytes, so
 * that it is decoded once. Remembers a few texts of at most 64 bytes.
 */
export class TextMemo {
  private readonly texts: string[] = new Array<string>(ENTRIES).fill("");
  private readonly bytes = new Uint8Array(ENTRIES * MAX_BYTES);
  private readonly sizes = new Uint8Array(ENTRIES);

  /** The UTF-8 text from `start` to `end`. */
  read(buffer: Buffer, start: number, end: number): string {
    const size = end - start;
    if (size === 0) return "";
    if (size > MAX_BYTES) return buffer.toString("utf8", start, end);
    const entry = (size + buffer[start]! + buffer[end - 1]!) % ENTRIES;
    if (this.holds(entry, buffer, start, size)) return this.texts[entry]!;
    const text = buffer.toString("utf8", start, end);
    this.texts[entry] = text;
    this.sizes[entry] = size;
    for (let i = 0; i < size; i++) this.bytes[entry * MAX_BYTES + i] = buffer[start + i]!;
    return text;
  }

  private holds(entry: number, buffer: Buffer, start: number, size: number): boolean {
    if (this.sizes[entry] !== size) return false;
    const at = entry * MAX_BYTES;
    for (let i = 0; i < size; i++) if (this.bytes[at + i] !== buffer[start + i]) return false;
    return true;
  }
}
