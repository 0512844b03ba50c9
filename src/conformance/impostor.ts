import { createSecureServer, type Http2SecureServer } from "node:http2";
import type { AddressInfo, Socket } from "node:net";
import type { IssuedCertificate } from "../identity/authority.ts";
import type { Notice } from "./waiting.ts";

/**
 * Answers in the place of somebody else, with a certificate that is not that one's, and takes whoever dials. Whether they know is seen by
 * whether they ask for anything.
 */
export class Impostor {
  /** How many connections have come. */
  connections = 0;
  /** Paths of the calls that were made here. */
  readonly calls: string[] = [];
  readonly #server: Http2SecureServer;
  readonly #sockets = new Set<Socket>();
  #port = 0;

  constructor(shown: IssuedCertificate, ca: string, notice: Notice) {
    this.#server = createSecureServer({
      ...{ cert: shown.certificate, key: shown.key, ca },
      // Whoever does not look whom it talks to is to get as far as it would with one that looks at nothing either.
      ...{ requestCert: true, rejectUnauthorized: false },
      minVersion: "TLSv1.3",
    });
    this.#server.on("connection", (socket: Socket) => {
      this.#sockets.add(socket);
      socket.on("close", () => this.#sockets.delete(socket));
      this.connections += 1;
      notice.changed();
    });
    this.#server.on("session", (session) => session.on("error", () => undefined));
    this.#server.on("stream", (stream, headers) => {
      this.calls.push(String(headers[":path"] ?? "/"));
      stream.on("error", () => undefined);
      stream.close();
      notice.changed();
    });
    this.#server.on("sessionError", () => undefined);
    this.#server.on("tlsClientError", () => undefined);
  }

  get address(): string {
    return `127.0.0.1:${this.#port}`;
  }

  /** Listens on a port of this machine; 0 takes a free one. */
  async start(port = 0): Promise<void> {
    await new Promise<void>((resolve, reject) => {
      this.#server.once("error", reject);
      this.#server.listen(port, "127.0.0.1", resolve);
    });
    this.#port = (this.#server.address() as AddressInfo).port;
  }

  async stop(): Promise<void> {
    const closed = new Promise((resolve) => this.#server.close(resolve));
    for (const socket of this.#sockets) socket.destroy();
    await closed;
  }
}
