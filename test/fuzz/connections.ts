import { connect as connectTcp, type NetConnectOpts, type Socket } from "node:net";
import type { TlsIdentity } from "../../src/identity/tls-identity.ts";
import type { Shot } from "./generators/grpc-shots.ts";
import { Http2Client, secured } from "./http2-client.ts";

/** How long a server may take to answer a call that asks for nothing that lasts, in milliseconds. */
const ANSWER_MS = 20_000;
/** A request of more bytes than this gets a connection of its own: what a server does not read fills the connection. */
const LARGE = 16_000;
/** Calls that stay open on one connection. */
const HELD_AT_ONCE = 16;
/** What is said on a connection whose server says nothing and does not close it, it has read by then. In milliseconds. */
const SILENCE_MS = 150;

/**
 * Opens the streams of an attacker on one connection, another one whenever the server has closed it. Resolves when each was
 * answered or broken off. Rejects when one is not answered. `lasts` says which may stay open without an answer.
 *
 * @param identity Whose certificate the attacker shows; left out: it speaks in the clear.
 */
export async function shoot(
  address: string,
  shots: readonly Shot[],
  lasts: (path: string) => boolean,
  identity?: TlsIdentity,
): Promise<void> {
  const clients: Http2Client[] = [];
  const connected = (reads = true): Http2Client => {
    const client = new Http2Client(address, reads, identity);
    clients.push(client);
    return client;
  };
  let client = connected();
  const unread = connected(false);
  const held: (() => void)[] = [];
  const missing = new Set<string>();
  const answers: Promise<void>[] = [];
  let late: NodeJS.Timeout | undefined;
  const tooLate = new Promise<never>((_resolve, reject) => {
    const fail = (): void => reject(new Error(`not answered within ${ANSWER_MS} ms: ${[...missing].join(", ")}`));
    late = setTimeout(fail, ANSWER_MS);
  });
  try {
    for (const { headers, body, ending } of shots) {
      if (client.isOver) client = connected();
      const path = headers.find(([name]) => name === ":path")?.[1] ?? "";
      const by = ending === "hold unread" ? unread : body.length > LARGE ? connected() : client;
      const isAwaited = ending === "end" && !lasts(path);
      let onClosed = (): void => undefined;
      const name = `${answers.length} of ${path.slice(0, 80)}`;
      if (isAwaited) {
        missing.add(name);
        answers.push(
          new Promise((resolve) => {
            onClosed = () => {
              missing.delete(name);
              resolve();
            };
          }),
        );
      }
      const cancel = await Promise.race([by.open(headers, body, ending === "end", onClosed), tooLate]);
      late?.refresh();
      if (ending === "reset") cancel();
      else if (!isAwaited) held.push(cancel);
      if (held.length > HELD_AT_ONCE) held.shift()?.();
    }
    await Promise.race([Promise.all(answers), tooLate]);
  } finally {
    clearTimeout(late);
    for (const one of clients) one.close();
  }
}

/** How a raw connection ends. */
export type Ending = "end" | "destroy" | "wait";

/**
 * Sends bytes, piece by piece, on a connection of their own. Resolves when it is closed, or nothing comes any more.
 *
 * @param identity Whose certificate is shown before; left out: the bytes are the first that is said.
 */
export function sendRaw(
  where: NetConnectOpts,
  pieces: readonly Buffer[],
  ending: Ending,
  identity?: TlsIdentity,
): Promise<void> {
  return new Promise((resolve) => {
    const socket: Socket = identity === undefined ? connectTcp(where) : secured(where, identity);
    let timer: NodeJS.Timeout | undefined;
    const close = (): void => {
      socket.destroy();
    };
    const wait = (): void => {
      clearTimeout(timer);
      timer = setTimeout(close, SILENCE_MS);
    };
    socket.on("error", () => undefined);
    socket.on("data", wait);
    socket.once("end", close);
    socket.once("close", () => {
      clearTimeout(timer);
      resolve();
    });
    socket.once(identity === undefined ? "connect" : "secureConnect", () => {
      socket.setNoDelay(true);
      for (const piece of pieces) socket.write(piece);
      if (ending === "end") socket.end();
      if (ending === "destroy") socket.write("", close);
      else wait();
    });
  });
}

/** Does the work for each, so many at once. */
export async function inParallel<T>(
  items: readonly T[],
  atOnce: number,
  work: (item: T) => Promise<void>,
): Promise<void> {
  const rest = items.values();
  await Promise.all(
    Array.from({ length: Math.min(atOnce, items.length) }, async () => {
      for (const item of rest) await work(item);
    }),
  );
}
