import { connectControlPlane } from "../../../src/client/control-plane-client.ts";
import { connectRegistry } from "../../../src/client/registry-client.ts";
import { hasCode } from "../../../src/foundation/errors.ts";
import { noMetrics } from "../../../src/protocol/component-codec.ts";
import type { ComponentSpec, PipelineSpec } from "../../../src/protocol/records.ts";
import { inParallel, sendRaw, shoot } from "../connections.ts";
import { joined, operatorOf, startControlPlaneTarget } from "../control-plane-target.ts";
import { controlMessage, HONEST } from "../generators/control-messages.ts";
import { grpcShot } from "../generators/grpc-shots.ts";
import { http2Bytes } from "../generators/http2-frames.ts";
import type { Attack, Input, Port } from "../port.ts";

/** The control plane's gRPC. Beside the attacker: a source that is registered, heartbeats, saves positions and watches. */
export const controlPort: Port = { batch: 1_000, growthMiB: 64, residentMiB: 400, open: (all) => open(all, false) };

/**
 * The same where the pipeline has an identity: the attacker is a component that was taken over, which sends everything, and can do nothing as
 * anybody else.
 */
export const identityPort: Port = { ...controlPort, open: () => open(true, true) };

const LASTING = ["WatchTopology", "WatchEvents", "HoldOperation", "ReplayEvents"];
const PATIENCE_MS = 15_000;

async function open(all: boolean, secure: boolean): Promise<Attack> {
  const { target, grpc, identity, folder } = await startControlPlaneTarget("p", { secure });
  const client = connectControlPlane(grpc, identity && operatorOf(identity));
  const honest = identity && (await joined(grpc, identity, HONEST.componentId, HONEST.instanceId));
  const attacker = identity && (await joined(grpc, identity, "liar", "liar-1")).current();
  const registry = connectRegistry(grpc, { ...HONEST, type: "source", incarnation: "honest" }, honest);
  const over = new AbortController();
  const soon = (): AbortSignal => AbortSignal.timeout(PATIENCE_MS);
  const registration = {
    address: "127.0.0.1:1",
    healthEndpoint: "",
    metadata: { name: "honest" },
    consumes: [],
    produces: [],
    features: [],
  };
  await client.applyPipeline(pipelineOfBoth(), soon());
  await registry.register(registration, soon());
  let lost: unknown;
  const watch = async (): Promise<void> => {
    for await (const topology of registry.watchTopology(over.signal)) {
      if (topology.downstreams.map(({ componentId }) => componentId).join() !== "archive")
        throw new Error(`the honest source was told of another topology: ${JSON.stringify(topology)}`);
    }
    throw new Error("the honest source's watch has ended");
  };
  const watching = (async () => {
    // A connection that was not answered for seconds, as the attacker has the processor, is given up, and made again as components do.
    while (!over.signal.aborted) await watch().catch((error: unknown) => mayBreak(error, over.signal));
  })().catch((error: unknown) => {
    lost ??= error;
  });
  let round = 0;
  let position: string | undefined;
  const [host = "", port = ""] = grpc.split(":");
  const check = async (): Promise<void> => {
    round++;
    if (lost !== undefined) throw lost;
    const beat = { degradedReason: "", drainedGroups: [], settledMarks: {}, heardMark: 0 };
    await registry.heartbeat({ ...beat, metrics: { ...noMetrics, eventsOut: round } }, soon());
    const answer = await registry.register(registration, soon());
    const found = answer.checkpoint === undefined ? undefined : Buffer.from(answer.checkpoint).toString();
    if (found !== position) throw new Error(`the honest source's position is ${found} instead of ${position}`);
    position = String(round);
    await registry.saveCheckpoint(
      { partition: "", identity: "", epoch: 0, state: "reading", position: Buffer.from(position) },
      soon(),
    );
    const feed = await client.getComponentStatus(HONEST.componentId, soon());
    const [instance] = feed.instances;
    const seen = { state: instance?.state, eventsOut: instance?.metrics.eventsOut, metadata: instance?.metadata };
    const expected = { state: "healthy", eventsOut: round, metadata: registration.metadata };
    if (JSON.stringify(seen) !== JSON.stringify(expected) || feed.instances.length !== 1)
      throw new Error(`the honest source is ${JSON.stringify(seen)} instead of ${JSON.stringify(expected)}`);
    const { components } = await client.getPipeline(soon());
    if (components.map(({ id }) => id).join() !== "feed,archive,liar,idle") throw new Error("the pipeline has changed");
  };
  return {
    target,
    check,
    finish: check,
    async send(inputs: readonly Input[]) {
      const raw = inputs.filter(({ random }) => random.chance(0.01));
      const shots = inputs
        .filter((input) => !raw.includes(input))
        .map(({ random }) => {
          const { path, bytes, mayBeDamaged } = controlMessage(random, all);
          // Another's bytes are as good as damaged ones.
          const messages = random.chance(0.97) || !mayBeDamaged ? [bytes] : [bytes, controlMessage(random, all).bytes];
          return grpcShot(path, messages, mayBeDamaged, random);
        });
      await shoot(grpc, shots, (path) => LASTING.some((name) => path.endsWith(name)), attacker);
      await inParallel(raw, 8, ({ random }) => {
        const bytes = http2Bytes(controlMessage(random, all).path, random);
        return sendRaw({ host, port: Number(port) }, [bytes], random.pick(["end", "destroy", "wait"]));
      });
    },
    async [Symbol.asyncDispose]() {
      over.abort();
      await watching;
      registry.close();
      client.close();
      await target[Symbol.asyncDispose]();
      await folder[Symbol.asyncDispose]();
    },
  };
}

/** Throws what is no broken connection. */
function mayBreak(error: unknown, signal: AbortSignal): void {
  if (!signal.aborted && !hasCode(error, "client/unreachable")) throw error;
}

function pipelineOfBoth(): PipelineSpec {
  const component = (id: string, type: ComponentSpec["type"], ...inputs: readonly string[]): ComponentSpec => ({
    id,
    type,
    inputs: inputs.map((from) => ({ from, types: [] })),
    replicas: 1,
    consumes: [],
    produces: [],
    partitionBy: "",
    maxRestarts: 5,
    onError: { action: "fail", to: "", retries: 0, backoffMs: 0 },
  });
  const components = [
    component("feed", "source"),
    component("archive", "sink", "feed"),
    component("liar", "source"),
    component("idle", "sink", "liar"),
  ];
  return { name: "p", driver: "process", components };
}
