import { once } from "node:events";
import { createServer, type Server, type Socket } from "node:net";

/**
 * Listens on a free port of 127.0.0.1 and gives each connection to `carry`, which brings it where it is to go. Neither holds
 * the process.
 */
export async function listenForRelay(carry: (connection: Socket) => void): Promise<Server> {
  const server = createServer({ allowHalfOpen: true }, (connection) => {
    // Whoever is at its other end is in this process, and holds it as long as it waits for something.
    connection.unref();
    connection.on("error", () => connection.destroy());
    carry(connection);
  });
  server.unref();
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  return server;
}
