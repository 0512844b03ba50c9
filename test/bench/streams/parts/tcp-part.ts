import { once } from "node:events";
import { connect, createServer, type Socket } from "node:net";
import { runBare } from "./bare-roles.ts";
import { lengthOf, messagesOf } from "./length-prefix.ts";
import { hostOf, portOf, readSettings } from "./settings.ts";

/** The ceiling: the same events in the same encoding over plain TCP with a length before each batch, and no guarantees. */
const { listen, upstream } = readSettings();

await runBare({
  async serve() {
    const server = createServer({ noDelay: true });
    server.listen(portOf(listen), hostOf(listen));
    const [socket] = (await once(server, "connection")) as [Socket];
    socket.on("error", () => process.exit(0));
    return {
      send(message) {
        socket.cork();
        socket.write(lengthOf(message));
        const more = socket.write(message);
        socket.uncork();
        return more;
      },
      drained: () => once(socket, "drain"),
    };
  },
  async receive(onMessage) {
    const socket = await dial();
    socket.on("error", () => process.exit(0));
    for await (const message of messagesOf(socket)) {
      const busy = onMessage(message);
      if (busy !== undefined) await busy;
    }
  },
});

/** Tries until the upstream is there. */
async function dial(): Promise<Socket> {
  for (;;) {
    const attempt = connect({ port: portOf(upstream), host: hostOf(upstream), noDelay: true });
    const socket = await new Promise<Socket | undefined>((resolve) => {
      attempt.once("connect", () => resolve(attempt));
      attempt.once("error", () => setTimeout(() => resolve(undefined), 20));
    });
    if (socket !== undefined) return socket;
  }
}
