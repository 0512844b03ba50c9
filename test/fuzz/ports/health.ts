import { inParallel, sendRaw } from "../connections.ts";
import { httpShot } from "../generators/http-requests.ts";
import { Scraper } from "../honest-http.ts";
import type { Attack, Port } from "../port.ts";
import { World } from "../world-target.ts";

const PATHS = ["/health", "/ready", "/metrics", "/nothing", "/"];

/** A component's health server. Beside the attacker: whoever asks for it honestly, and the component's events. */
export const healthPort: Port = { batch: 1_000, growthMiB: 32, residentMiB: 400, open };

async function open(): Promise<Attack> {
  const world = await World.start();
  const scraper = new Scraper(world.health, PATHS.slice(0, 3));
  const [host = "", port = ""] = world.health.split(":");
  return {
    target: world.target,
    async check() {
      await scraper.check();
      await world.check();
    },
    async finish() {
      await scraper.check();
      await world.finish();
    },
    send: (inputs) =>
      inParallel(inputs, 48, ({ random }) => {
        const { pieces, ending } = httpShot(PATHS, random);
        return sendRaw({ host, port: Number(port) }, pieces, ending);
      }),
    async [Symbol.asyncDispose]() {
      scraper.close();
      await world[Symbol.asyncDispose]();
    },
  };
}
