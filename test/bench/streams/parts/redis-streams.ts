import type { Socket } from "node:net";
import { Chunks } from "./chunks.ts";

/** As much of the protocol of Redis as it takes to use a stream, over one connection. */
const KEY = "bench";
const READ = 4;
/** Batches that the stream keeps about: more than the reader is ever behind. */
const KEPT = 1024;

type Value = Buffer | string | number | null | readonly Value[];

class Redis {
  private readonly socket: Socket;
  private readonly chunks = new Chunks();
  private readonly waiting: ((value: Value) => void)[] = [];

  constructor(socket: Socket) {
    this.socket = socket;
    socket.on("data", (chunk: Buffer) =>
      this.chunks.add(chunk, (data) => {
        const parsed = parse(data, 0);
        if ("need" in parsed) return parsed;
        this.waiting.shift()?.(parsed.value);
        return parsed.end;
      }),
    );
  }

  command(...words: readonly (string | Buffer)[]): Promise<Value> {
    this.socket.cork();
    this.socket.write(`*${words.length}\r\n`);
    for (const word of words) {
      this.socket.write(`$${Buffer.byteLength(word)}\r\n`);
      this.socket.write(word);
      this.socket.write("\r\n");
    }
    this.socket.uncork();
    return new Promise((resolve) => this.waiting.push(resolve));
  }
}

type Parsed = { readonly value: Value; readonly end: number } | { readonly need: number };

function parse(data: Buffer, at: number): Parsed {
  const line = data.indexOf("\r\n", at);
  if (line === -1) return { need: data.length + 1 };
  const kind = String.fromCharCode(data[at]!);
  const text = data.toString("latin1", at + 1, line);
  let end = line + 2;
  if (kind === "-") throw new Error(`Redis says ${text}`);
  if (kind === ":") return { value: Number(text), end };
  if (kind === "+") return { value: text, end };
  const length = Number(text);
  if (length < 0) return { value: null, end };
  if (kind === "$") {
    const stop = end + length;
    return data.length < stop + 2 ? { need: stop + 2 } : { value: data.subarray(end, stop), end: stop + 2 };
  }
  const values: Value[] = [];
  for (let n = 0; n < length; n++) {
    const parsed = parse(data, end);
    if ("need" in parsed) return parsed;
    values.push(parsed.value);
    end = parsed.end;
  }
  return { value: values, end };
}

/** Puts batches into the stream, so many of them at once without an answer: with appendfsync always, it comes after the sync. */
export async function writeRedis(socket: Socket, batches: Iterable<Buffer>, underWay: number): Promise<void> {
  const redis = new Redis(socket);
  let open = 0;
  let wake: () => void = () => undefined;
  for (const batch of batches) {
    while (open >= underWay) await new Promise<void>((resolve) => (wake = resolve));
    open++;
    void redis.command("XADD", KEY, "MAXLEN", "~", String(KEPT), "*", "b", batch).then(() => {
      open--;
      wake();
    });
  }
  while (open > 0) await new Promise<void>((resolve) => (wake = resolve));
}

/** Takes batches out of the stream as a group of consumers does, and acknowledges each. */
export async function readRedis(socket: Socket, onBatch: (batch: Buffer) => void): Promise<void> {
  const redis = new Redis(socket);
  await redis.command("XGROUP", "CREATE", KEY, "sink", "0", "MKSTREAM");
  for (;;) {
    const [[, entries]] = (await redis.command(
      ...["XREADGROUP", "GROUP", "sink", "one", "COUNT", String(READ), "BLOCK", "0", "STREAMS", KEY, ">"],
    )) as [[Buffer, [Buffer, [Buffer, Buffer]][]]];
    for (const [, [, batch]] of entries) onBatch(batch);
    void redis.command("XACK", KEY, "sink", ...entries.map(([id]) => id));
  }
}
