import { PassThrough, Writable } from "node:stream";
import { afterEach, expect, it } from "vitest";
import type { ResourceKey } from "../../drivers/driver.ts";
import { MemoryDriver } from "../../drivers/memory-driver.fake.ts";
import { FlowctlError } from "../../foundation/errors.ts";
import { NEVER_STARTS } from "../../foundation/never-starts.ts";
import { resourceOf } from "../../planner/plan.ts";
import { CliHarness } from "../cli-harness.fake.ts";
import { runCli } from "../run-cli.ts";

const FILE = `
name: demo
sources: { numbers: { uses: generator } }
processors: { even: { uses: filter, with: { where: 'true' }, inputs: [numbers] } }
sinks: { out: { uses: discard, inputs: [even] } }
`;
const LESS = `
name: demo
sources: { numbers: { uses: generator } }
sinks: { out: { uses: discard, inputs: [numbers] } }
`;
const CONTROL_PLANE: ResourceKey = "control-plane/1";

const cleanUps: (() => Promise<void>)[] = [];
afterEach(async () => {
  for (const cleanUp of cleanUps.splice(0)) await cleanUp();
});

/** A pipeline that runs, and what is done to it from then on; the control plane says that it can never start, unless `mended`. */
async function setUp(mended: () => boolean) {
  const applied: string[] = [];
  const never = () => ({ status: "restarting", exitCode: NEVER_STARTS, restarts: 3 }) as const;
  const driver: MemoryDriver = new MemoryDriver({
    onApply: (change) => {
      applied.push(`${change.action} ${resourceOf(change).key}`);
    },
  });
  const cli = await CliHarness.create({ "flowctl.yaml": FILE, "less.yaml": LESS }, [driver]);
  cleanUps.push(() => cli[Symbol.asyncDispose]());
  await cli.run("up", "-d");
  cli.speed = 10;
  applied.splice(0);
  const world = driver.state.get("demo")!;
  const there = world.get(CONTROL_PLANE)!;
  world.set(CONTROL_PLANE, { ...there, state: never() });
  Object.defineProperty(cli.controlPlane, "away", { get: () => !mended() });
  return { cli, applied, world, there, never };
}

it("up removes nothing while the control plane cannot be asked what that holds, unless that is given up", async () => {
  const { cli, applied, world, there, never } = await setUp(() => false);
  const keep = setInterval(() => {
    // However often it is started.
    world.set(CONTROL_PLANE, { ...there, state: never() });
  }, 5);
  cleanUps.push(async () => clearInterval(keep));
  const refused = await cli.run("up", "-d", "-f", "less.yaml");
  expect(refused.code).toBe(4);
  expect(refused.stderr).toMatch(
    /Nothing was changed: even-1 cannot deliver the events they hold without the control plane/,
  );
  expect(refused.stderr).toContain("--discard");
  expect(applied.filter((what) => what.includes("component/"))).toEqual([]);
  await cli.run("up", "-d", "-f", "less.yaml", "--discard");
  expect(applied).toContain("remove component/even-1");
}, 60_000);

it("what a control plane said before a command began is no news: it is started again, and heard", async () => {
  let started = false;
  const { cli, applied, world, there } = await setUp(() => started);
  const keep = setInterval(() => {
    if (!applied.includes(`restart ${CONTROL_PLANE}`)) return;
    started = true;
    world.set(CONTROL_PLANE, { ...there, state: { status: "running", startedAt: 0, health: "healthy", restarts: 0 } });
  }, 5);
  cleanUps.push(async () => clearInterval(keep));
  const { code, stderr } = await cli.run("up", "-d", "-f", "less.yaml");
  expect(code, stderr).toBe(0);
  expect(stderr).toMatch(/live +component\/out/);
  expect(applied).toEqual([`restart ${CONTROL_PLANE}`, "remove component/even-1"]);
}, 60_000);

it("the second Ctrl-C says what it waits for, where the control plane does not answer", async () => {
  const driver = new MemoryDriver();
  const cli = await CliHarness.create({ "flowctl.yaml": FILE }, [driver]);
  cleanUps.push(() => cli[Symbol.asyncDispose]());
  let said = "";
  const stderr = new Writable({
    decodeStrings: false,
    write: (text, _encoding, done) => {
      said += String(text);
      done();
    },
  });
  const up = runCli(["up"], cli.dependencies(new PassThrough().resume(), stderr));
  while (cli.controlPlane.desired.length === 0) await new Promise((wake) => setTimeout(wake, 5));
  let answers = false;
  let asked = 0;
  Object.defineProperty(cli.controlPlane, "away", {
    get: () => {
      if (cli.first.signal.aborted) asked++;
      return cli.first.signal.aborted && !answers;
    },
  });
  const interrupt = () => new FlowctlError({ code: "cli/interrupted", kind: "cancelled", message: "interrupted" });
  cli.first.abort(interrupt());
  // It is being told by now, in vain.
  while (asked < 3) await new Promise((wake) => setTimeout(wake, 5));
  cli.second.abort(interrupt());
  const waits = "Ending it as soon as the control plane has heard of it, in 5 s at the latest";
  await expect.poll(() => said, { timeout: 30_000 }).toContain(waits);
  expect(said).not.toMatch(/Stopping now|^\S+-\d+ (Stopping|Stopped|Killed)/m);
  answers = true;
  await up;
  expect(said.indexOf("Stopping now")).toBeGreaterThan(said.indexOf(waits));
}, 60_000);
