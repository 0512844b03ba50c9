import { once } from "node:events";
import { type ClientHttp2Session, connect, createServer, type ServerHttp2Stream } from "node:http2";
import { runBare } from "./bare-roles.ts";
import { lengthOf, messagesOf } from "./length-prefix.ts";
import { hostOf, portOf, readSettings } from "./settings.ts";

/** The same over HTTP/2 as Node.js has it, without gRPC: one stream, a length before each batch, a window of 4 MiB. */
const { listen, upstream } = readSettings();
const WINDOW = 4 * 1024 * 1024;

await runBare({
  async serve() {
    const server = createServer();
    server.listen(portOf(listen), hostOf(listen));
    const [stream] = (await once(server, "stream")) as [ServerHttp2Stream];
    stream.on("error", () => process.exit(0));
    stream.respond({ ":status": 200 });
    return {
      send(message) {
        stream.cork();
        stream.write(lengthOf(message));
        const more = stream.write(message);
        stream.uncork();
        return more;
      },
      drained: () => once(stream, "drain"),
    };
  },
  async receive(onMessage) {
    const session = await dial();
    session.on("error", () => process.exit(0));
    const stream = session.request({ ":method": "POST", ":path": "/" }, { endStream: true });
    stream.on("error", () => process.exit(0));
    for await (const message of messagesOf(stream as AsyncIterable<Buffer>)) {
      const busy = onMessage(message);
      if (busy !== undefined) await busy;
    }
  },
});

/** Tries until the upstream is there. */
async function dial(): Promise<ClientHttp2Session> {
  for (;;) {
    const attempt = connect(`http://${hostOf(upstream)}:${portOf(upstream)}`, {
      settings: { initialWindowSize: WINDOW },
    });
    const session = await new Promise<ClientHttp2Session | undefined>((resolve) => {
      attempt.once("connect", () => resolve(attempt));
      attempt.once("error", () => setTimeout(() => resolve(undefined), 20));
    });
    if (session === undefined) continue;
    session.setLocalWindowSize(WINDOW);
    return session;
  }
}
