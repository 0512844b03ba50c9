import { httpToken } from "../../../src/client/access-file.ts";
import { connectControlPlane } from "../../../src/client/control-plane-client.ts";
import { inParallel, sendRaw } from "../connections.ts";
import { operatorOf, startControlPlaneTarget } from "../control-plane-target.ts";
import { httpShot } from "../generators/http-requests.ts";
import { Scraper } from "../honest-http.ts";
import type { Attack, Port } from "../port.ts";

const PATHS = [
  ...["/", "/health", "/ready", "/metrics", "/api/pipeline", "/api/events"],
  ...["/api/events?after=1", "/nothing", "/login/", "/login/x"],
];

/**
 * The control plane's HTTP, by somebody without a token. Beside the attacker: a client that has one, on a connection that it keeps, and a
 * client of its gRPC.
 */
export const httpPort: Port = { batch: 1_000, growthMiB: 32, residentMiB: 300, open };

async function open(): Promise<Attack> {
  const { target, grpc, http, identity, folder } = await startControlPlaneTarget("p", { secure: true });
  const owner = identity && operatorOf(identity);
  const client = connectControlPlane(grpc, owner);
  const scraper = new Scraper(http, PATHS.slice(0, 6), owner && { authorization: `Bearer ${httpToken(owner)}` });
  const [host = "", port = ""] = http.split(":");
  const check = async (): Promise<void> => {
    await scraper.check();
    await client.getPipeline(AbortSignal.timeout(15_000));
  };
  return {
    target,
    check,
    finish: check,
    send: (inputs) =>
      inParallel(inputs, 48, ({ random }) => {
        const { pieces, ending } = httpShot(PATHS, random);
        return sendRaw({ host, port: Number(port) }, pieces, ending);
      }),
    async [Symbol.asyncDispose]() {
      scraper.close();
      client.close();
      await target[Symbol.asyncDispose]();
      await folder[Symbol.asyncDispose]();
    },
  };
}
