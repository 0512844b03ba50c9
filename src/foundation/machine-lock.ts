import { createServer } from "node:net";

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
    server.listen(`\0flowctl-${name}`, () => {
      server.unref();
      resolve({ release: () => new Promise((done) => server.close(() => done())) });
    });
  });
}
