import { expect, it } from "vitest";
import { fakeClock } from "../../foundation/clock.fake.ts";
import { silentLogger } from "../../foundation/logger.ts";
import { noMetrics } from "../../protocol/component-codec.ts";
import { incarnation, linearPipeline, registration } from "../pipeline.fake.ts";
import { Kept } from "../registry.fake.ts";
import { OneInstance } from "./one-instance.fake.ts";
import { supervise } from "./supervisor.ts";

it("a supervisor leaves alone what got well while the driver hung that was to restart it", async () => {
  const source = incarnation("source");
  const clock = fakeClock(1_000_000);
  const driver = new OneInstance();
  const stop = new AbortController();
  const registry = new Kept(clock).open();
  registry.apply(linearPipeline());
  const state = () => registry.component("source").instances[0]?.state;
  registry.register(registration(source, { healthEndpoint: "x:1" }));
  const probed = (result: "failing" | "passing"): void =>
    registry.probed("source", "source-1", source.incarnation, { result, failures: 9, detail: "no answer" });
  const options = { driver, registry, pipeline: "p", clock, log: silentLogger, unhealthyAfterMs: 30_000 };
  const supervising = supervise(options, stop.signal).ended;
  await clock.advance(1000);
  probed("failing");
  let goOn: () => void = () => undefined;
  driver.hanging = new Promise((resolve) => {
    goOn = resolve;
  });
  for (let second = 0; second < 32; second++) {
    await clock.advance(1000);
    registry.assessAll();
  }
  expect(state()).toBe("unhealthy");
  registry.heartbeat({ ...source, degradedReason: "", metrics: noMetrics });
  probed("passing");
  registry.assessAll();
  expect(state()).toBe("healthy");
  await clock.advance(1000);
  driver.hanging = undefined;
  goOn();
  await clock.advance(10_000);
  expect(driver.applied).toEqual([]);
  stop.abort();
  await supervising;
});
