import { expect, it } from "vitest";
import type { ControlPlaneClient } from "../../client/client.ts";
import type { Driver, ObservedResource, ObservedState } from "../../drivers/driver.ts";
import { type FakeClock, fakeClock } from "../../foundation/clock.fake.ts";
import { FlowctlError } from "../../foundation/errors.ts";
import { PipelineOperation } from "./operation.ts";

const never = new AbortController().signal;
const starting: ObservedState = { status: "running", startedAt: 0, health: "starting", restarts: 0 };

/** A control plane that answers from a moment on, in a container that is as `state` says. */
function operation(
  clock: FakeClock,
  { answersAt = Number.POSITIVE_INFINITY, state = (): ObservedState | undefined => starting },
): PipelineOperation {
  const driver = {
    observe: async () => {
      const now = state();
      return now === undefined ? [] : [{ kind: "control-plane", state: now } as ObservedResource];
    },
    controlPlane: async () => (state()?.status === "running" ? { grpc: "x:1", http: "http://x:2" } : undefined),
  } as unknown as Driver;
  const client = {
    async *holdOperation(_name: unknown, _options: unknown, signal: AbortSignal) {
      if (clock.elapsed() < answersAt) {
        throw new FlowctlError({ code: "client/unreachable", kind: "unavailable", message: "refused" });
      }
      yield {};
      await new Promise((resolve) => signal.addEventListener("abort", resolve, { once: true }));
    },
    close: () => undefined,
  } as unknown as ControlPlaneClient;
  return new PipelineOperation({ connect: async () => client, clock }, driver, "p", "flowctl up");
}

/** What becomes of it, and after how many seconds at most. */
async function outcome(clock: FakeClock, it: PipelineOperation): Promise<readonly [string, number]> {
  let what: string | undefined;
  it.holdPersistently({ whileAbsent: true }, never).then(
    () => {
      what = "held";
    },
    (error: FlowctlError) => {
      what = error.code;
    },
  );
  for (; what === undefined; await clock.advance(100)) await new Promise((wake) => setImmediate(wake));
  it.release();
  return [what, Math.round(clock.elapsed() / 1_000)];
}

it("waits for a control plane that runs and takes its time to answer, as on a busy machine", async () => {
  const clock = fakeClock();
  expect(await outcome(clock, operation(clock, { answersAt: 98_000 }))).toEqual(["held", 98]);
});

it("gives up on one that runs and does not answer, as one that hangs", async () => {
  const clock = fakeClock();
  expect(await outcome(clock, operation(clock, {}))).toEqual(["cli/control-plane-hangs", 300]);
});

it("gives up when none runs for half a minute, and waits for one that comes back before", async () => {
  const gone = fakeClock();
  expect(await outcome(gone, operation(gone, { state: () => undefined }))).toEqual(["cli/no-control-plane", 30]);
  const back = fakeClock();
  const state = (): ObservedState | undefined => (back.elapsed() < 25_000 ? undefined : starting);
  expect(await outcome(back, operation(back, { answersAt: 40_000, state }))).toEqual(["held", 40]);
});

it("gives up on one that ends again and again", async () => {
  const clock = fakeClock();
  const state = (): ObservedState => ({ ...starting, restarts: Math.floor(clock.elapsed() / 4_000) });
  const [code, seconds] = await outcome(clock, operation(clock, { state }));
  expect(code).toBe("cli/no-control-plane");
  expect(seconds).toBeLessThan(20);
});

it("is not held any more by a plan of before another command: it says what it planned by, each time that it holds it", async () => {
  const clock = fakeClock();
  const asked: unknown[] = [];
  let end = (): void => undefined;
  const client = {
    async *holdOperation(_name: unknown, options: unknown) {
      asked.push(options);
      yield 700 + asked.length;
      await new Promise<void>((resolve) => {
        end = resolve;
      });
    },
    close: () => undefined,
  } as unknown as ControlPlaneClient;
  const driver = { controlPlane: async () => ({ grpc: "x:1", http: "http://x:2" }) } as unknown as Driver;
  const deps = { connect: async () => client, clock };
  const held = new PipelineOperation(deps, driver, "p", "flowctl up");
  await held.hold({ takeOver: false }, never);
  held.plannedAt(clock.now());
  end();
  await new Promise((wake) => setImmediate(wake));
  await held.hold({ takeOver: false }, never);
  const unheld = new PipelineOperation(deps, driver, "p", "flowctl up");
  unheld.plannedAt(clock.now() - 40);
  await unheld.hold({ takeOver: false }, never);
  const stop = new PipelineOperation(deps, driver, "p", "flowctl stop");
  await stop.hold({ takeOver: true }, never);
  expect(asked).toEqual([
    { takeOver: false },
    { takeOver: false, unchangedSince: 701 },
    { takeOver: false, unchangedForMs: 40 },
    { takeOver: true },
  ]);
});

it("is held again with the present certificate of the owner, where that was replaced", async () => {
  const clock = fakeClock();
  let connected = 0;
  let replaced = 0;
  let end = (): void => undefined;
  const connect = async (): Promise<ControlPlaneClient> => {
    const number = connected++;
    return {
      async *holdOperation() {
        const refused = new FlowctlError({ code: "identity/revoked", kind: "unauthenticated", message: "refused" });
        if (number < replaced) throw refused;
        yield number;
        await new Promise<void>((resolve) => {
          end = resolve;
        });
        throw refused;
      },
      close: () => undefined,
    } as unknown as ControlPlaneClient;
  };
  const driver = { controlPlane: async () => ({ grpc: "x:1", http: "http://x:2" }) } as unknown as Driver;
  const held = new PipelineOperation({ connect, clock }, driver, "p", "flowctl up");
  await held.hold({ takeOver: false }, never);
  replaced = connected;
  end();
  await new Promise((wake) => setImmediate(wake));
  expect(await held.hold({ takeOver: false }, never)).toBe(true);
  expect(connected).toBe(2);
});
