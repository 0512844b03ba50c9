import { expect, it } from "vitest";
import { fakeClock } from "../../foundation/clock.fake.ts";
import type { InstanceRecord } from "../../protocol/records.ts";
import { CliHarness } from "../cli-harness.fake.ts";
import { StaysHealthy } from "./stays-healthy.ts";

const FILE = `
name: demo
sources: { numbers: { uses: generator } }
sinks: { out: { uses: discard, inputs: [numbers] } }
`;

const instance = (state: string, registeredAt: number, restarts = 0) =>
  ({ id: "out-1", state, registeredAt, restarts }) as unknown as InstanceRecord;

it("one that is healthy between two failures is not well, and has to show it for longer then", async () => {
  const clock = fakeClock();
  const stays = new StaysHealthy(clock);
  expect(stays.look([instance("healthy", 1)])).toBe(false);
  await clock.advance(900);
  expect(stays.look([instance("unhealthy", 1)])).toBe(false);
  await clock.advance(900);
  // Another program than the one that was seen.
  expect(stays.look([instance("healthy", 2, 1)])).toBe(false);
  await clock.advance(2_000);
  expect(stays.look([instance("healthy", 3, 2)])).toBe(false);
  await clock.advance(9_999);
  expect(stays.look([instance("healthy", 3, 2)])).toBe(false);
  await clock.advance(1);
  expect(stays.look([instance("healthy", 3, 2)])).toBe(true);
});

it("one that goes on is well after a second, and one that has completed at once", async () => {
  const clock = fakeClock();
  const stays = new StaysHealthy(clock);
  expect(stays.look([instance("completed", 1)])).toBe(true);
  expect(stays.look([instance("healthy", 1)])).toBe(false);
  await clock.advance(1_000);
  expect(stays.look([instance("healthy", 1)])).toBe(true);
});

it("up --wait does not take a component for well that fails right after it was healthy", async () => {
  await using cli = await CliHarness.create({ "flowctl.yaml": FILE });
  const { controlPlane } = cli;
  const record = controlPlane.record.bind(controlPlane);
  let looks = 0;
  controlPlane.record = () => {
    const failed = controlPlane.applied > 0 && ++looks > 1;
    controlPlane.state = failed ? "failed" : "running";
    if (failed) controlPlane.instanceStates.set("out-1", { state: "failed", reason: "cannot write" });
    return record();
  };
  const { code, stderr } = await cli.run("up", "--wait", "--timeout", "20");
  expect(code, stderr).toBe(1);
  expect(stderr).toContain("cannot write");
});

it("a restart that was asked for, as of one that is replaced, is none that makes it wait for longer", async () => {
  const clock = fakeClock();
  const stays = new StaysHealthy(clock, new Map([["out-1", 3]]));
  expect(stays.look([instance("healthy", 1, 3)])).toBe(false);
  await clock.advance(1_000);
  expect(stays.look([instance("healthy", 1, 3)])).toBe(true);
  expect(stays.hasRestarted([instance("healthy", 1, 3)])).toBe(false);
  expect(stays.hasRestarted([instance("healthy", 1, 4)])).toBe(true);
});
