import type { Socket } from "node:net";
import { Chunks } from "./chunks.ts";

/** As much of the protocol of NATS as it takes to use a JetStream stream, over one connection. */
const STREAM = "bench";
const SUBJECT = "bench.events";
const PULLED = 16;

interface Message {
  readonly subject: string;
  readonly reply: string;
  readonly payload: Buffer;
}

class Nats {
  readonly inbox: string;
  private readonly socket: Socket;
  private readonly chunks = new Chunks();
  private readonly waiting = new Map<string, (payload: Buffer) => void>();
  onMessage: (message: Message) => void = () => undefined;

  /** @param inbox Name of the program: what it is answered goes to subjects of its own. */
  constructor(socket: Socket, inbox: string) {
    this.socket = socket;
    this.inbox = `_in.${inbox}`;
    socket.on("data", (chunk: Buffer) => this.chunks.add(chunk, (data) => this.parse(data)));
    socket.write('CONNECT {"verbose":false,"pedantic":false,"lang":"node","version":"1"}\r\n');
    socket.write(`SUB ${this.inbox}.> 1\r\n`);
  }

  publish(subject: string, reply: string, payload: Buffer): void {
    this.socket.cork();
    this.socket.write(`PUB ${subject} ${reply === "" ? "" : `${reply} `}${payload.length}\r\n`);
    this.socket.write(payload);
    this.socket.write("\r\n");
    this.socket.uncork();
  }

  /** Asks the JetStream API; rejects with its error. */
  async ask(what: string, body: object): Promise<void> {
    const reply = `${this.inbox}.ask.${this.waiting.size}`;
    const answer = new Promise<Buffer>((resolve) => this.waiting.set(reply, resolve));
    this.publish(`$JS.API.${what}`, reply, Buffer.from(JSON.stringify(body)));
    const { error } = JSON.parse((await answer).toString()) as { readonly error?: { readonly description: string } };
    if (error !== undefined) throw new Error(`JetStream says of ${what}: ${error.description}`);
  }

  private parse(data: Buffer): number | { readonly need: number } {
    const line = data.indexOf("\r\n");
    if (line === -1) return { need: data.length + 1 };
    const words = data.toString("latin1", 0, line).split(" ");
    if (words[0] === "PING") this.socket.write("PONG\r\n");
    if (words[0] === "-ERR") throw new Error(`NATS says ${words.join(" ")}`);
    if (words[0] !== "MSG" && words[0] !== "HMSG") return line + 2;
    const length = Number(words.at(-1));
    const end = line + 2 + length;
    if (data.length < end + 2) return { need: end + 2 };
    // With headers come states of a request, such as that it has ended.
    if (words[0] === "MSG") {
      const subject = words[1]!;
      const payload = data.subarray(line + 2, end);
      const answer = this.waiting.get(subject);
      if (answer !== undefined) answer(payload);
      else this.onMessage({ subject, reply: words.length === 5 ? words[3]! : "", payload });
    }
    return end + 2;
  }
}

const stream = {
  name: STREAM,
  subjects: [SUBJECT],
  storage: "file",
  retention: "limits",
  discard: "old",
  max_bytes: 1024 ** 3,
  num_replicas: 1,
};

/** Puts batches into the stream, so many of them at once without a confirmation. */
export async function writeJetStream(socket: Socket, batches: Iterable<Buffer>, underWay: number): Promise<void> {
  const nats = new Nats(socket, "source");
  await nats.ask(`STREAM.CREATE.${STREAM}`, stream);
  let open = 0;
  let wake: () => void = () => undefined;
  nats.onMessage = ({ payload }) => {
    const { error } = JSON.parse(payload.toString()) as { readonly error?: { readonly description: string } };
    if (error !== undefined) throw new Error(`JetStream has not kept it: ${error.description}`);
    open--;
    wake();
  };
  for (const batch of batches) {
    while (open >= underWay) await new Promise<void>((resolve) => (wake = resolve));
    open++;
    nats.publish(SUBJECT, `${nats.inbox}.kept`, batch);
  }
  while (open > 0) await new Promise<void>((resolve) => (wake = resolve));
}

/** Takes batches out of the stream, and acknowledges each. */
export async function readJetStream(socket: Socket, onBatch: (batch: Buffer) => void): Promise<void> {
  const nats = new Nats(socket, "sink");
  await nats.ask(`STREAM.CREATE.${STREAM}`, stream);
  await nats.ask(`CONSUMER.DURABLE.CREATE.${STREAM}.sink`, {
    stream_name: STREAM,
    config: { durable_name: "sink", ack_policy: "explicit", deliver_policy: "all", max_ack_pending: 1024 },
  });
  const pull = (): void =>
    nats.publish(`$JS.API.CONSUMER.MSG.NEXT.${STREAM}.sink`, `${nats.inbox}.batch`, Buffer.from(`{"batch":${PULLED}}`));
  const acknowledgement = Buffer.from("+ACK");
  let left = 2 * PULLED;
  nats.onMessage = ({ reply, payload }) => {
    onBatch(payload);
    nats.publish(reply, "", acknowledgement);
    if (--left > PULLED) return;
    left += PULLED;
    pull();
  };
  pull();
  pull();
  await new Promise(() => undefined);
}
