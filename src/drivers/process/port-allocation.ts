import { randomInt } from "node:crypto";
import { createServer } from "node:net";
import { FlowctlError } from "../../foundation/errors.ts";

/** Below the range that systems take the ports of outgoing connections from, so that none of those is in the way. */
const FIRST_PORT = 20_000;
const PORT_COUNT = 12_000;
const ATTEMPTS = 200;

/** Whether a server could listen on this port of 127.0.0.1 now. */
export function isPortFree(port: number): Promise<boolean> {
  return new Promise((resolve) => {
    const server = createServer();
    server.unref();
    server.once("error", () => resolve(false));
    server.listen({ host: "127.0.0.1", port, exclusive: true }, () => server.close(() => resolve(true)));
  });
}

/** A port of 127.0.0.1 that is free now and not among `taken`. Random, so that pipelines started at once do not clash. */
export async function allocatePort(taken: ReadonlySet<number>): Promise<number> {
  for (let attempt = 0; attempt < ATTEMPTS; attempt++) {
    const port = FIRST_PORT + randomInt(PORT_COUNT);
    if (!taken.has(port) && (await isPortFree(port))) return port;
  }
  throw new FlowctlError({
    code: "process/no-free-port",
    kind: "unavailable",
    message: `No free port of 127.0.0.1 was found between ${FIRST_PORT} and ${FIRST_PORT + PORT_COUNT - 1}`,
    fix: "End programs that listen there; `ss -ltn` shows them",
  });
}
