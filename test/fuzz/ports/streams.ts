import { SUBSCRIBE_PATH } from "../../../src/protocol/stream-codec.ts";
import { inParallel, sendRaw, shoot } from "../connections.ts";
import { http2Bytes } from "../generators/http2-frames.ts";
import { subscription } from "../generators/subscriptions.ts";
import { HostileUpstreams } from "../hostile-upstreams.ts";
import type { Attack, Input, Port } from "../port.ts";
import { World } from "../world-target.ts";

/**
 * Both sides of the streams between components: a source's server, which the attacker subscribes to, in groups of honest sinks
 * too; and a sink that has the attacker as an upstream, besides the source.
 */
export const streamsPort: Port = { batch: 1_000, growthMiB: 64, residentMiB: 500, open };

async function open(all: boolean): Promise<Attack> {
  const world = await World.start();
  const upstreams = new HostileUpstreams();
  await upstreams.start(world.grpc);
  const [host = "", port = ""] = world.address.split(":");
  return {
    target: world.target,
    async check() {
      await upstreams.heartbeat();
      await world.check();
    },
    finish: () => world.finish(),
    async send(inputs) {
      const kinds = inputs.map((input) => ({
        input,
        kind: input.random.weighted({ server: 69, raw: 1, upstream: 30 }),
      }));
      const of = (wanted: string): Input[] => kinds.filter(({ kind }) => kind === wanted).map(({ input }) => input);
      const subscriptions = of("server").map(({ random }) => subscription(random, all));
      await Promise.all([
        shoot(world.address, subscriptions, () => false),
        inParallel(of("raw"), 8, ({ random }) => {
          const bytes = http2Bytes(SUBSCRIBE_PATH, random);
          return sendRaw({ host, port: Number(port) }, [bytes], random.pick(["end", "destroy", "wait"]));
        }),
        upstreams.say(of("upstream")),
      ]);
    },
    async [Symbol.asyncDispose]() {
      upstreams.close();
      await world[Symbol.asyncDispose]();
    },
  };
}
