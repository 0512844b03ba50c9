import { connect, type NetConnectOpts, type Socket } from "node:net";
import { connect as connectTls } from "node:tls";
import type { TlsIdentity } from "../../src/identity/tls-identity.ts";
import { ACK, END_HEADERS, END_STREAM, FrameType, frame, headerBlock, PREFACE, setting, uint32 } from "./http2-wire.ts";

/** Streams that are open at once on one connection, where the server allows as many. */
const AT_ONCE = 100;
const MOST_PAYLOAD = 16_384;
const INITIAL_WINDOW = 65_535;
const MAX_WINDOW = 0x7fffffff;
const CANCEL = 8;
const Setting = { maxStreams: 3, initialWindow: 4 } as const;

interface OpenStream {
  readonly id: number;
  window: number;
  /** What waits for the server to take it. */
  rest: Buffer;
  end: boolean;
  readonly closed: () => void;
}

/**
 * An attacker's connection: the client of Node.js sends nothing that is wrong, and does not survive everything that is right.
 * It keeps to the server's windows, so that what is sent arrives, and looks at no answer but for its end.
 */
export class Http2Client {
  readonly #socket: Socket;
  readonly #streams = new Map<number, OpenStream>();
  #waiting: (() => void)[] = [];
  #input: Buffer = Buffer.alloc(0);
  #next = 1;
  #window = INITIAL_WINDOW;
  #streamWindow = INITIAL_WINDOW;
  #atOnce = AT_ONCE;
  #over = false;

  /**
   * @param address `host:port`, or the path of a Unix socket.
   * @param reads Whether it takes what the server sends: else its windows stay closed.
   * @param identity Whose certificate it shows; left out: it speaks in the clear.
   */
  constructor(address: string, reads = true, identity?: TlsIdentity) {
    const [host = "", port] = address.split(":");
    if (address.startsWith("/")) this.#socket = connect(address);
    else if (identity === undefined) this.#socket = connect(Number(port), host);
    else this.#socket = secured({ host, port: Number(port) }, identity);
    this.#socket.setNoDelay(true);
    this.#socket.on("error", () => undefined);
    this.#socket.on("data", (chunk) => this.#receive(chunk));
    this.#socket.once("close", () => this.close());
    this.#write(PREFACE);
    this.#write(frame(FrameType.settings, 0, 0, setting(Setting.initialWindow, reads ? MAX_WINDOW : 0)));
    if (reads) this.#write(frame(FrameType.window, 0, 0, uint32(MAX_WINDOW - INITIAL_WINDOW)));
  }

  get isOver(): boolean {
    return this.#over;
  }

  /** Opens a stream once there is room for one more. `closed` is called when the server is through with it, or it is cancelled. */
  async open(
    headers: readonly (readonly [string, string])[],
    body: Buffer,
    end: boolean,
    closed: () => void,
  ): Promise<() => void> {
    while (!this.#over && this.#streams.size >= this.#atOnce)
      await new Promise<void>((resolve) => this.#waiting.push(resolve));
    if (this.#over) {
      closed();
      return () => undefined;
    }
    const id = this.#next;
    this.#next += 2;
    const block = headerBlock(headers);
    for (let at = 0; at === 0 || at < block.length; at += MOST_PAYLOAD) {
      const type = at === 0 ? FrameType.headers : FrameType.continuation;
      const isLast = at + MOST_PAYLOAD >= block.length;
      this.#write(frame(type, isLast ? END_HEADERS : 0, id, block.subarray(at, at + MOST_PAYLOAD)));
    }
    const stream: OpenStream = { id, window: this.#streamWindow, rest: body, end, closed };
    this.#streams.set(id, stream);
    this.#send(stream);
    return () => this.#cancel(stream);
  }

  close(): void {
    if (this.#over) return;
    this.#over = true;
    this.#socket.destroy();
    for (const stream of [...this.#streams.values()]) this.#closed(stream);
    for (const resolve of this.#waiting.splice(0)) resolve();
  }

  #cancel(stream: OpenStream): void {
    if (this.#streams.get(stream.id) !== stream) return;
    this.#write(frame(FrameType.reset, 0, stream.id, uint32(CANCEL)));
    this.#closed(stream);
  }

  #closed(stream: OpenStream): void {
    if (!this.#streams.delete(stream.id)) return;
    stream.closed();
    this.#waiting.shift()?.();
  }

  #send(stream: OpenStream): void {
    for (;;) {
      const size = Math.min(stream.rest.length, stream.window, this.#window, MOST_PAYLOAD);
      const isLast = size === stream.rest.length;
      if (size === 0 && !(isLast && stream.end)) return;
      this.#write(
        frame(FrameType.data, isLast && stream.end ? END_STREAM : 0, stream.id, stream.rest.subarray(0, size)),
      );
      stream.rest = stream.rest.subarray(size);
      stream.window -= size;
      this.#window -= size;
      if (!isLast) continue;
      stream.end = false;
      return;
    }
  }

  #receive(chunk: Buffer): void {
    this.#input = this.#input.length === 0 ? chunk : Buffer.concat([this.#input, chunk]);
    let at = 0;
    while (this.#input.length - at >= 9) {
      const length = this.#input.readUIntBE(at, 3);
      if (this.#input.length - at < 9 + length) break;
      const [type = 0, flags = 0] = this.#input.subarray(at + 3, at + 5);
      const id = this.#input.readUInt32BE(at + 5) & 0x7fffffff;
      this.#frame(type, flags, id, this.#input.subarray(at + 9, at + 9 + length));
      at += 9 + length;
    }
    this.#input = this.#input.subarray(at);
  }

  #frame(type: number, flags: number, id: number, payload: Buffer): void {
    const stream = this.#streams.get(id);
    if (type === FrameType.settings && (flags & ACK) === 0) this.#settings(payload);
    else if (type === FrameType.ping && (flags & ACK) === 0) this.#write(frame(FrameType.ping, ACK, 0, payload));
    else if (type === FrameType.goaway) this.close();
    else if (type === FrameType.window) this.#granted(id, payload.readUInt32BE(0) & 0x7fffffff);
    else if (type === FrameType.reset && stream !== undefined) this.#closed(stream);
    else if ((type === FrameType.headers || type === FrameType.data) && stream !== undefined) {
      // The connection's window is large enough for any answer, and this makes room for the next.
      if (type === FrameType.data && payload.length > 0)
        this.#write(frame(FrameType.window, 0, 0, uint32(payload.length)));
      if ((flags & END_STREAM) !== 0) this.#cancelIfOpen(stream);
    }
  }

  /** The server has ended the stream; what it did not read it need not. */
  #cancelIfOpen(stream: OpenStream): void {
    if (stream.rest.length > 0 || stream.end) this.#cancel(stream);
    else this.#closed(stream);
  }

  #settings(payload: Buffer): void {
    for (let at = 0; at + 6 <= payload.length; at += 6) {
      const value = payload.readUInt32BE(at + 2);
      const id = payload.readUInt16BE(at);
      if (id === Setting.maxStreams) this.#atOnce = Math.min(AT_ONCE, Math.max(1, value));
      if (id !== Setting.initialWindow) continue;
      for (const stream of this.#streams.values()) stream.window += value - this.#streamWindow;
      this.#streamWindow = value;
    }
    this.#write(frame(FrameType.settings, ACK, 0, Buffer.alloc(0)));
    for (const stream of this.#streams.values()) this.#send(stream);
  }

  #granted(id: number, more: number): void {
    if (id === 0) this.#window += more;
    else {
      const stream = this.#streams.get(id);
      if (stream !== undefined) stream.window += more;
    }
    for (const stream of this.#streams.values()) this.#send(stream);
  }

  #write(bytes: Buffer): void {
    if (!this.#over) this.#socket.write(bytes);
  }
}

/** A connection on which somebody has shown a certificate. */
export function secured(where: NetConnectOpts, { ca, certificate, key }: TlsIdentity): Socket {
  // Whoever attacks does not care who answers.
  const checkServerIdentity = (): undefined => undefined;
  const shown = { ca, cert: certificate, key, checkServerIdentity };
  return connectTls({ ...where, ...shown, ALPNProtocols: ["h2"], servername: "any" });
}
