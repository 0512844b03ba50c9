import fc from "fast-check";
import { describe, expect, it } from "vitest";
import type { Change, DriverEvent, ObservedResource, ObservedState } from "../../drivers/driver.ts";
import { FlowctlError } from "../../foundation/errors.ts";
import { silentLogger } from "../../foundation/logger.ts";
import { noMetrics } from "../../protocol/component-codec.ts";
import type { IncarnationReference } from "../../protocol/registry-codec.ts";
import type { Operation } from "../operations.ts";
import { incarnation, linearPipeline, registration } from "../pipeline.fake.ts";
import { Kept } from "../registry.fake.ts";
import type { Registry } from "../registry.ts";
import type { SupervisedDriver } from "./supervised-driver.ts";
import { supervise } from "./supervisor.ts";

const ids = ["source", "processor", "sink"] as const;
type Id = (typeof ids)[number];

/** Programs that do what a test wants, a control plane that can be killed, and time. */
class World implements SupervisedDriver {
  readonly capabilities = {
    images: false,
    limits: false,
    restartsExited: false,
  };
  readonly #kept = new Kept();
  readonly clock = this.#kept.clock;
  /** What broke the promise that nothing is started which is to be stopped. */
  readonly broken: string[] = [];
  readonly applied: string[] = [];
  registry!: Registry;
  failing = false;
  operation: Operation | undefined;
  #stop = new AbortController();
  #supervising: Promise<void> = Promise.resolve();
  readonly #states = new Map<Id, ObservedState>(ids.map((id) => [id, exited(0)]));
  readonly #runs = new Map<Id, number>(ids.map((id) => [id, 0]));
  readonly #listeners = new Set<(event: DriverEvent) => void>();

  constructor() {
    this.#open();
    this.registry.apply(linearPipeline());
    for (const id of ids) this.start(id);
  }

  async restartControlPlane(): Promise<void> {
    await this.end();
    this.#stop = new AbortController();
    this.operation = undefined;
    this.#open();
  }

  async end(): Promise<void> {
    this.#stop.abort();
    await this.#supervising;
  }

  runs(id: Id): boolean {
    return this.#states.get(id)?.status === "running";
  }

  who(id: Id): IncarnationReference {
    return incarnation(id, 1, String(this.#runs.get(id)));
  }

  start(id: Id): void {
    if (this.runs(id)) return;
    const now = this.clock.now();
    this.#runs.set(id, (this.#runs.get(id) ?? 0) + 1);
    this.#states.set(id, { status: "running", startedAt: now, health: "none", restarts: 0 });
    this.#emit({ type: "started", key: `component/${id}-1`, time: now });
  }

  exit(id: Id, exitCode: number): void {
    if (!this.runs(id)) return;
    const time = this.clock.now();
    this.#states.set(id, { ...exited(exitCode), finishedAt: time });
    this.#emit({ type: "exited", key: `component/${id}-1`, time, exitCode, oomKilled: false, willRestart: false });
  }

  register(id: Id): void {
    if (this.runs(id)) this.registry.register(registration(this.who(id)));
  }

  async observe(): Promise<readonly ObservedResource[]> {
    const rest = { hash: "", parts: {}, ref: "", name: "", ports: [] };
    return ids.map((id) => ({
      ...rest,
      ...({ key: `component/${id}-1`, kind: "component", owner: id, index: 1 } as const),
      state: this.#states.get(id) ?? exited(0),
    }));
  }

  async apply(change: Change): Promise<void> {
    if (change.action === "create" || change.action === "replace") return;
    const id = change.observed.owner as Id;
    this.applied.push(`${change.action} ${id}`);
    const wanted = this.registry.desire(id, `${id}-1`);
    if (change.action !== "stop" && wanted !== "running")
      this.broken.push(`${change.action} of ${id}, desired ${wanted}`);
    if (this.failing) throw new FlowctlError({ code: "x/y", kind: "failed", message: "the engine is away" });
    if (change.action !== "start") this.exit(id, 143);
    if (change.action !== "stop") this.start(id);
  }

  async *events(_pipeline: string, signal: AbortSignal): AsyncGenerator<DriverEvent> {
    const queue: DriverEvent[] = [];
    let wake = (): void => undefined;
    const listen = (event: DriverEvent): void => {
      queue.push(event);
      wake();
    };
    this.#listeners.add(listen);
    signal.addEventListener("abort", () => wake(), { once: true });
    try {
      while (!signal.aborted) {
        yield* queue.splice(0);
        await new Promise<void>((resolve) => {
          wake = resolve;
          if (queue.length > 0 || signal.aborted) resolve();
        });
      }
    } finally {
      this.#listeners.delete(listen);
    }
  }

  #emit(event: DriverEvent): void {
    for (const listen of this.#listeners) listen(event);
  }

  #open(): void {
    this.registry = this.#kept.open();
    const options = { driver: this, registry: this.registry, pipeline: "p", clock: this.clock };
    const rest = { log: silentLogger, unhealthyAfterMs: 30_000, random: () => 0.5 };
    this.#supervising = supervise({ ...options, ...rest }, this.#stop.signal).ended;
  }
}

const exited = (exitCode: number) =>
  ({ status: "exited", exitCode, oomKilled: false, finishedAt: 0, restarts: 0 }) as const;

const id = fc.constantFrom(...ids);
const some = fc.uniqueArray(id, { minLength: 1 });
const operation = fc.oneof(
  fc.record({ op: fc.constant("exit" as const), id, code: fc.constantFrom(0, 1, 137, 143) }),
  fc.record({ op: fc.constant("register" as const), id }),
  fc.record({ op: fc.constant("bye" as const), id, reason: fc.constantFrom("completed", "stopped", "failed") }),
  // By hand, past flowctl.
  fc.record({ op: fc.constant("outside start" as const), id }),
  fc.record({ op: fc.constant("stop" as const), ids: some, acts: fc.boolean() }),
  fc.record({ op: fc.constant("start" as const), ids: some, acts: fc.boolean() }),
  fc.record({ op: fc.constant("renew" as const), ids: some, acts: fc.boolean() }),
  fc.record({ op: fc.constant("hold" as const) }),
  fc.record({ op: fc.constant("release" as const) }),
  fc.record({ op: fc.constant("driver" as const), failing: fc.boolean() }),
  fc.record({ op: fc.constant("control plane restarts" as const) }),
  fc.record({ op: fc.constant("time" as const), ms: fc.integer({ min: 0, max: 20_000 }) }),
);
type Step = typeof operation extends fc.Arbitrary<infer T> ? T : never;

/** The next control plane hears of an end from before its own beginning. */
const ENDED_WHILE_NOBODY_LOOKED: Step[] = [
  { op: "renew", ids: ["source"], acts: false },
  { op: "time", ms: 1 },
  { op: "control plane restarts" },
];

const instanceIds = (chosen: readonly Id[]): readonly string[] => chosen.map((one) => `${one}-1`);

async function take(world: World, step: Step): Promise<void> {
  const { registry } = world;
  switch (step.op) {
    case "exit":
      return world.exit(step.id, step.code);
    case "register":
      return world.register(step.id);
    case "bye":
      if (!world.runs(step.id)) return;
      return registry.deregister({
        ...world.who(step.id),
        reason: step.reason as "stopped",
        message: "",
        metrics: noMetrics,
      });
    case "outside start":
      return world.start(step.id);
    case "stop":
      registry.setDesired({ stopped: instanceIds(step.ids) });
      // The command may be killed in between.
      if (step.acts) for (const one of step.ids) world.exit(one, 143);
      return;
    case "start":
      registry.setDesired({ started: instanceIds(step.ids) });
      if (step.acts) for (const one of step.ids) world.start(one);
      return;
    case "renew":
      world.operation = registry.operations.hold({ command: "restart", holder: "test" }, true);
      registry.setDesired({ started: instanceIds(step.ids), renewed: instanceIds(step.ids) });
      for (const one of step.ids) world.exit(one, 143);
      if (step.acts) for (const one of step.ids) world.start(one);
      return;
    case "hold":
      world.operation = registry.operations.hold({ command: "up", holder: "test" }, true);
      return;
    case "release":
      return world.operation?.release();
    case "driver":
      world.failing = step.failing;
      return;
    case "control plane restarts":
      return world.restartControlPlane();
    case "time":
      await world.clock.advance(step.ms);
      return registry.assessAll();
  }
}

/** Whoever runs registers, and beats, as a program does. */
async function settle(world: World): Promise<void> {
  world.failing = false;
  world.operation?.release();
  for (let second = 0; second < 150; second += 2) {
    for (const one of ids) {
      if (!world.runs(one)) continue;
      try {
        const entry = world.registry.entry(one, `${one}-1`);
        if (entry?.data.incarnation === world.who(one).incarnation && entry.data.live) {
          world.registry.heartbeat({ ...world.who(one), metrics: noMetrics, degradedReason: "" });
        } else world.register(one);
      } catch (error) {
        // A start that has said its last word ends, whatever it said.
        if ((error as FlowctlError).code === "registry/deregistered") world.exit(one, 0);
        else if ((error as FlowctlError).code !== "registry/instance-alive") throw error;
      }
    }
    await world.clock.advance(2_000);
    world.registry.assessAll();
  }
}

describe("what is desired", () => {
  it("is what comes about, whatever programs, drivers, commands and control planes do meanwhile", async () => {
    await fc.assert(
      fc.asyncProperty(fc.array(operation, { maxLength: 40, size: "max" }), async (steps) => {
        const world = new World();
        try {
          for (const step of steps) {
            try {
              await take(world, step);
            } catch (error) {
              expect(error).toMatchObject({ code: expect.stringMatching(/^registry\//) });
            }
            await world.clock.advance(0);
          }
          await settle(world);
          expect(world.broken).toEqual([]);
          for (const one of ids) {
            const data = world.registry.entry(one, `${one}-1`)?.data;
            const desire = world.registry.desire(one, `${one}-1`);
            const over = data?.state.name === "completed" || data?.state.name === "failed";
            const seen = `${one}: desired ${desire}, ${data?.state.name}, runs: ${world.runs(one)}`;
            if (desire === "stopped") expect(world.runs(one), seen).toBe(false);
            else expect(world.runs(one) || over, seen).toBe(true);
            if (data?.state.name === "failed") expect(data.state.reason).not.toBe("");
          }
        } finally {
          await world.end();
        }
      }),
      { numRuns: 15, examples: [[ENDED_WHILE_NOBODY_LOOKED]] },
    );
  }, 120_000);
});
