import { createReadStream } from "node:fs";
import { open } from "node:fs/promises";
import { pipeline } from "node:stream";
import { createGunzip } from "node:zlib";
import { fileProblem } from "./file-problem.ts";

const chunkBytes = 256 * 1024;

export interface ReadChunksOptions {
  readonly path: string;
  /** Bytes to leave out at the start, counted after decompression. */
  readonly from: number;
  readonly gzip: boolean;
}

/** The bytes of a file, in pieces of fresh memory. Rejects with `components/file-unreadable`. */
export async function* readChunks(options: ReadChunksOptions): AsyncGenerator<Uint8Array, void, void> {
  try {
    yield* options.gzip ? readCompressed(options) : readPlain(options);
  } catch (error) {
    throw fileProblem(options.path, error);
  }
}

async function* readPlain({ path, from }: ReadChunksOptions): AsyncGenerator<Uint8Array, void, void> {
  const file = await open(path, "r");
  try {
    let position = from;
    for (;;) {
      const chunk = Buffer.allocUnsafeSlow(chunkBytes);
      const { bytesRead } = await file.read(chunk, 0, chunkBytes, position);
      if (bytesRead === 0) return;
      position += bytesRead;
      yield chunk.subarray(0, bytesRead);
    }
  } finally {
    await file.close();
  }
}

async function* readCompressed({ path, from }: ReadChunksOptions): AsyncGenerator<Uint8Array, void, void> {
  // The callback is there because pipeline wants one: its error reaches the loop below through the last stream.
  const bytes = pipeline(createReadStream(path), createGunzip({ chunkSize: chunkBytes }), () => undefined);
  let toSkip = from;
  for await (const chunk of bytes as AsyncIterable<Buffer>) {
    if (toSkip >= chunk.length) {
      toSkip -= chunk.length;
      continue;
    }
    yield toSkip === 0 ? chunk : chunk.subarray(toSkip);
    toSkip = 0;
  }
}
