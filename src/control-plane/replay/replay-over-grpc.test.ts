import { expect, it } from "vitest";
import type { ReplayedEvent } from "../../client/client.ts";
import { connectControlPlane } from "../../client/control-plane-client.ts";
import { connectRegistry } from "../../client/registry-client.ts";
import { systemClock } from "../../foundation/clock.ts";
import type { Logger } from "../../foundation/logger.ts";
import { startControlPlane } from "../control-plane.ts";
import { incarnation, linearPipeline, registration } from "../pipeline.fake.ts";
import { createMemoryStore } from "../store/memory-store.ts";

const quiet: Logger = {
  debugging: false,
  debug: () => undefined,
  info: () => undefined,
  warn: () => undefined,
  error: () => undefined,
};
const soon = (): AbortSignal => AbortSignal.timeout(30_000);

it("a replay that the end of the control plane cuts short is no replay that is over", async () => {
  const controlPlane = await startControlPlane({
    pipeline: "p",
    grpcListen: "127.0.0.1:0",
    httpListen: "127.0.0.1:0",
    store: createMemoryStore(),
    clock: systemClock,
    log: quiet,
  });
  const client = connectControlPlane(controlPlane.grpcAddress);
  const who = incarnation("processor");
  const registry = connectRegistry(controlPlane.grpcAddress, { ...who, type: "processor" });
  try {
    await client.applyPipeline(linearPipeline(), soon());
    await registry.register(registration(who), soon());
    async function* events(): AsyncGenerator<ReplayedEvent> {
      const nothing = { payload: Buffer.from("{}"), metadata: {}, timestamp: undefined, contentType: "" };
      yield { ...nothing, id: "one", type: "t", sourceComponentId: "source" };
    }
    const answers = client.replayEvents("processor", events(), soon());
    expect((await answers.next()).value?.upstreamId).toMatch(/^processor-replay-/);
    const next = answers.next();
    const closed = controlPlane.close();
    await expect(next).rejects.toMatchObject({ kind: "unavailable" });
    await closed;
  } finally {
    client.close();
    registry.close();
    await controlPlane.close();
  }
});
