import { connect, createServer, type Socket } from "node:net";

/** A way to a server; see `startDeadEnd`. */
export interface DeadEnd {
  /** `host:port` at which it takes connections. */
  readonly address: string;
  /** Resolves when nothing passes any more. */
  readonly full: Promise<void>;
  close(): void;
}

/**
 * A way to a server of this machine on which, from its first large write on, nothing is read any more and nothing is closed:
 * a peer that has vanished, as the server sees it.
 */
export async function startDeadEnd(port: number): Promise<DeadEnd> {
  const sockets: Socket[] = [];
  let stuck = (): void => undefined;
  const full = new Promise<void>((resolve) => {
    stuck = resolve;
  });
  const server = createServer((near) => {
    const far = connect(port, "127.0.0.1");
    sockets.push(near, far);
    for (const socket of [near, far]) socket.on("error", () => undefined);
    near.pipe(far);
    far.on("data", (data) => {
      if (data.length < 10_000) return void near.write(data);
      far.pause();
      near.unpipe(far);
      near.pause();
      stuck();
    });
  });
  await new Promise<void>((listening) => server.listen(0, "127.0.0.1", listening));
  const address = server.address();
  const own = typeof address === "object" && address !== null ? address.port : 0;
  return {
    address: `127.0.0.1:${own}`,
    full,
    close: () => {
      for (const socket of sockets) socket.destroy();
      server.close();
    },
  };
}
