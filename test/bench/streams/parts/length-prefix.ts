const HEADER = 4;

/** What goes before a message on a transport that knows bytes only. */
export function lengthOf(message: Buffer): Buffer {
  const header = Buffer.allocUnsafe(HEADER);
  header.writeUInt32BE(message.length, 0);
  return header;
}

/** Cuts what comes in chunks into the messages that were sent, one after the other. */
export async function* messagesOf(chunks: AsyncIterable<Buffer>): AsyncGenerator<Buffer> {
  let rest: Buffer = Buffer.alloc(0);
  for await (const chunk of chunks) {
    let data = rest.length === 0 ? chunk : Buffer.concat([rest, chunk]);
    while (data.length >= HEADER && data.length >= HEADER + data.readUInt32BE(0)) {
      const end = HEADER + data.readUInt32BE(0);
      yield data.subarray(HEADER, end);
      data = data.subarray(end);
    }
    rest = data;
  }
}
