import { describe, expect, it } from "vitest";
import { MemoryDriver } from "../../drivers/memory-driver.fake.ts";
import { systemClock } from "../../foundation/clock.ts";
import { MemoryControlPlane } from "../cli-harness.fake.ts";
import { ControlPlaneAccess } from "../control-plane-access.ts";
import { watchPipeline } from "./watch-pipeline.ts";

async function watched(
  controlPlane: MemoryControlPlane,
  exists: () => boolean,
  { stop = new AbortController(), onRecord = (): void => undefined } = {},
) {
  const driver = new MemoryDriver();
  driver.controlPlane = async () => ({ grpc: "memory", http: "memory" });
  const access = new ControlPlaneAccess(
    { clock: systemClock, connect: async () => controlPlane.client() },
    driver,
    "p",
  );
  const outages: boolean[] = [];
  const result = await watchPipeline(
    {
      access,
      clock: systemClock,
      signal: stop.signal,
      exists: async () => exists(),
      onOutage: (away) => {
        outages.push(away);
        if (away) controlPlane.away = false;
      },
    },
    ({ state }) => {
      onRecord();
      return state === "completed" ? "done" : undefined;
    },
  ).catch((error: unknown) => error);
  return { result, outages };
}

describe("watching a pipeline", () => {
  it("waits through an outage of the control plane and says so once", async () => {
    const controlPlane = new MemoryControlPlane();
    controlPlane.state = "completed";
    controlPlane.away = true;
    expect(await watched(controlPlane, () => true)).toEqual({ result: "done", outages: [true, false] });
  });

  it("ends when the pipeline was taken down meanwhile", async () => {
    const controlPlane = new MemoryControlPlane();
    controlPlane.away = true;
    const { result } = await watched(controlPlane, () => false);
    expect(result).toMatchObject({ code: "cli/pipeline-gone", kind: "conflict" });
  });

  it("ends as cancelled when its signal fires", async () => {
    const stop = new AbortController();
    const onRecord = (): void => stop.abort();
    const { result } = await watched(new MemoryControlPlane(), () => true, { stop, onRecord });
    expect(result).toMatchObject({ kind: "cancelled" });
  });
});
