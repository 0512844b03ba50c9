/** One message of a container's log: a line, or a piece of a long one. */
export interface LogFrame {
  readonly stream: "stdout" | "stderr";
  readonly payload: Buffer;
}

const HEADER = 8;

/**
 * Takes the engine's multiplexed log stream apart. Feed it chunks of any size; it keeps what is not whole yet.
 */
export class LogFrameParser {
  #rest: Buffer = Buffer.alloc(0);

  push(chunk: Buffer): LogFrame[] {
    this.#rest = this.#rest.length === 0 ? chunk : Buffer.concat([this.#rest, chunk]);
    const frames: LogFrame[] = [];
    let at = 0;
    while (this.#rest.length - at >= HEADER) {
      const length = this.#rest.readUInt32BE(at + 4);
      if (this.#rest.length - at < HEADER + length) break;
      const stream = this.#rest[at] === 2 ? "stderr" : "stdout";
      frames.push({ stream, payload: this.#rest.subarray(at + HEADER, at + HEADER + length) });
      at += HEADER + length;
    }
    this.#rest = this.#rest.subarray(at);
    return frames;
  }

  /** Whether the stream stopped inside a message. */
  get incomplete(): boolean {
    return this.#rest.length > 0;
  }
}

/** A whole line of a container's log. */
export interface TimedLine {
  readonly stream: "stdout" | "stderr";
  /** Unix time in nanoseconds. */
  readonly nanoseconds: bigint;
  readonly text: string;
}

/** Longer lines are cut into several, so that a program that never ends its line cannot take all memory. */
const MAX_LINE = 1024 * 1024;

/**
 * Makes lines of timestamped frames. The engine cuts long lines into pieces and stamps each of them: the first stamp
 * counts and the others are taken out.
 */
export class LineAssembler {
  readonly #pending = new Map<LogFrame["stream"], { nanoseconds: bigint; pieces: Buffer[]; size: number }>();

  push({ stream, payload }: LogFrame): TimedLine | undefined {
    const space = payload.indexOf(32);
    const nanoseconds = parseStamp(payload.subarray(0, space).toString("latin1"));
    const body = payload.subarray(space + 1);
    const ended = body[body.length - 1] === 10;
    const pending = this.#pending.get(stream) ?? { nanoseconds, pieces: [], size: 0 };
    pending.pieces.push(ended ? body.subarray(0, -1) : body);
    pending.size += body.length;
    if (!ended && pending.size < MAX_LINE) {
      this.#pending.set(stream, pending);
      return undefined;
    }
    this.#pending.delete(stream);
    return finish(stream, pending);
  }

  /** What was not ended by a line feed when the program ended. */
  flush(): TimedLine[] {
    const lines = [...this.#pending].map(([stream, pending]) => finish(stream, pending));
    this.#pending.clear();
    return lines;
  }
}

function finish(
  stream: LogFrame["stream"],
  { nanoseconds, pieces }: { readonly nanoseconds: bigint; readonly pieces: readonly Buffer[] },
): TimedLine {
  return { stream, nanoseconds, text: Buffer.concat(pieces).toString("utf8").replace(/\r$/, "") };
}

/** RFC 3339 with up to nine decimals, in UTC. */
function parseStamp(stamp: string): bigint {
  const [, seconds = "", fraction = ""] = /^([^.Z]+)(?:\.(\d+))?Z?$/.exec(stamp) ?? [];
  const whole = Date.parse(`${seconds}Z`);
  if (Number.isNaN(whole)) return 0n;
  return BigInt(whole) * 1_000_000n + BigInt(fraction.padEnd(9, "0").slice(0, 9));
}
