import { execFile } from "node:child_process";
import { promisify } from "node:util";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { buildProgram, eventually, Scenario } from "../e2e/checks.ts";
import { OwnEngine } from "./harness/own-engine.ts";

const run = promisify(execFile);
const COUNT = 1_000;
const pipeline = `
sources:
  numbers: { uses: generator, with: { count: ${COUNT}, rate: 25 } }
processors:
  passed: { uses: filter, inputs: [numbers], with: { where: payload.sequence > 0 }, deploy: { replicas: 2 } }
sinks:
  archive: { uses: file, inputs: [passed], with: { path: ./out/archive.jsonl } }
`;

let engine: OwnEngine;
const host = process.env.DOCKER_HOST;

beforeAll(async () => {
  await buildProgram();
  engine = await OwnEngine.start(214);
  process.env.DOCKER_HOST = engine.host;
});

afterAll(async () => {
  if (host === undefined) delete process.env.DOCKER_HOST;
  else process.env.DOCKER_HOST = host;
  await engine[Symbol.asyncDispose]();
});

describe.each(["SIGTERM", "SIGKILL"] as const)("an engine that is ended with %s and started again", (signal) => {
  it("brings the pipeline back with it: it completes, and each number is there once", async () => {
    await using scenario = await Scenario.on("docker", pipeline);
    const arrived = async (): Promise<number> => (await scenario.lines("out/archive.jsonl")).length;
    await scenario.succeed("up", "-d", "--wait", "--timeout", "150");
    await eventually("the first ones", async () => (await arrived()) > COUNT / 40);
    const before = (await run("docker", ["ps", "-q", "--no-trunc"])).stdout.trim().split("\n").sort();
    await engine.restart(signal);
    const running = async (): Promise<readonly string[]> =>
      (await run("docker", ["ps", "-q", "--no-trunc"])).stdout.trim().split("\n").sort();
    await eventually("the containers run again", async () => (await running()).join() === before.join(), 150_000);
    await eventually("all have arrived", async () => (await arrived()) >= COUNT, 200_000);
    await scenario.succeed("wait", "--timeout", "110");
    const numbers = (await scenario.lines("out/archive.jsonl")).map(
      (line) => (JSON.parse(line) as { sequence: number }).sequence,
    );
    expect(numbers.sort((a, b) => a - b)).toEqual(Array.from({ length: COUNT }, (_, i) => i + 1));
    await scenario.succeed("down", "-v");
    expect(await scenario.leftovers()).toEqual([]);
    scenario.passed();
  }, 600_000);
});
