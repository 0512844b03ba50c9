import { connect, createServer } from "node:net";

/** A name that this process has, until it gives it back or ends, however it ends. */
export interface HeldName {
  release(): Promise<void>;
}

/**
 * Takes a name of this machine, or resolves with undefined when another process, or this one, has it. Rejects with what
 * the system says when there can be no names. The name is one of the abstract namespace of sockets: the kernel gives it
 * to one process and takes it back at its end, so that there is nothing stale to judge. Linux only: on other systems
 * everybody gets every name.
 */
export function holdName(name: string): Promise<HeldName | undefined> {
  if (process.platform !== "linux") return Promise.resolve({ release: async () => undefined });
  return new Promise((resolve, reject) => {
    const server = createServer((socket) => socket.destroy());
    server.once("error", (error: NodeJS.ErrnoException) => {
      if (error.code === "EADDRINUSE") resolve(undefined);
      else reject(error);
    });
    server.listen(socketOf(name), () => {
      server.unref();
      resolve({ release: () => new Promise((done) => server.close(() => done())) });
    });
  });
}

/**
 * Whether some process, or this one, has a name of this machine. Unlike an attempt to take it, looking is in nobody's way. False on
 * systems other than Linux.
 */
export function isNameHeld(name: string): Promise<boolean> {
  if (process.platform !== "linux") return Promise.resolve(false);
  return new Promise((resolve) => {
    const socket = connect(socketOf(name));
    socket.once("connect", () => {
      socket.destroy();
      resolve(true);
    });
    // Nobody listens, or whoever did has just let go of it. Anything else, such as a full queue, is somebody who does not answer.
    socket.once("error", ({ code }: NodeJS.ErrnoException) => resolve(code !== "ECONNREFUSED" && code !== "ENOENT"));
  });
}

function socketOf(name: string): string {
  return `\0flowctl-${name}`;
}
