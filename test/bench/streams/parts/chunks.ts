/** What came and was not used yet, of a stream that a parser asks for more when it has too little. */
export class Chunks {
  private chunks: Buffer[] = [];
  private total = 0;
  private needed = 0;

  /** Adds a chunk, and lets `parse` take from the front as long as it can: it returns how much, or `need` of how much it wants. */
  add(chunk: Buffer, parse: (data: Buffer) => number | { readonly need: number }): void {
    this.chunks.push(chunk);
    this.total += chunk.length;
    if (this.total < this.needed) return;
    let data = this.chunks.length === 1 ? chunk : Buffer.concat(this.chunks, this.total);
    this.needed = 0;
    while (data.length > 0 && this.needed === 0) {
      const used = parse(data);
      if (typeof used === "number") data = data.subarray(used);
      else this.needed = Math.max(used.need, data.length + 1);
    }
    this.chunks = data.length === 0 ? [] : [data];
    this.total = data.length;
  }
}
