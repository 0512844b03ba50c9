import { SUBSCRIBE_PATH } from "../../../src/protocol/stream-codec.ts";
import { inParallel, sendRaw, shoot } from "../connections.ts";
import { http2Bytes } from "../generators/http2-frames.ts";
import { lyingInstance, stolenAcknowledgement, subscription } from "../generators/subscriptions.ts";
import { HostileUpstreams } from "../hostile-upstreams.ts";
import type { Attack, Input, Port } from "../port.ts";
import { World } from "../world-target.ts";

/**
 * Both sides of the streams between components: a source's server, which the attacker subscribes to, in groups of honest sinks
 * too; and a sink that has the attacker as an upstream, besides the source.
 */
export const streamsPort: Port = { batch: 1_000, growthMiB: 64, residentMiB: 500, open: (all) => open(all, false) };

/**
 * The same where the pipeline has an identity: the attacker has taken over an instance of one of the sinks, and of the sink's other
 * upstream, and has their certificates. It sends everything, and can do nothing as anybody else.
 */
export const identityStreamsPort: Port = { ...streamsPort, open: () => open(false, true) };

async function open(all: boolean, secure: boolean): Promise<Attack> {
  const world = await World.start({ secure });
  const upstreams = new HostileUpstreams();
  await upstreams.start(world.grpc, (component, instance) => world.join(component, instance));
  const attacker = (await world.join("lied-to", "lied-to-2"))?.current();
  const [host = "", port = ""] = world.address.split(":");
  return {
    target: world.target,
    async check() {
      await upstreams.heartbeat();
      upstreams.requireDistrust();
      await world.check();
    },
    finish: () => world.finish(),
    async send(inputs) {
      const kinds = inputs.map((input) => ({
        input,
        kind: input.random.weighted({ server: 69, raw: 1, upstream: 30 }),
      }));
      const of = (wanted: string): Input[] => kinds.filter(({ kind }) => kind === wanted).map(({ input }) => input);
      const subscriptions = of("server").map(({ random }) => {
        if (!secure) return subscription(random, all);
        return random.chance(0.3) ? stolenAcknowledgement(random) : subscription(random, false, lyingInstance);
      });
      await Promise.all([
        shoot(world.address, subscriptions, () => false, attacker),
        inParallel(of("raw"), 8, ({ random }) => {
          const bytes = http2Bytes(SUBSCRIBE_PATH, random);
          const ending = random.pick(["end", "destroy", "wait"] as const);
          return sendRaw({ host, port: Number(port) }, [bytes], ending, random.chance(0.5) ? attacker : undefined);
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
