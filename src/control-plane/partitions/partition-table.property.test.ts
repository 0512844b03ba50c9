import fc from "fast-check";
import { expect, it } from "vitest";
import { fakeClock } from "../../foundation/clock.fake.ts";
import { FlowctlError, hasCode } from "../../foundation/errors.ts";
import { noMetrics } from "../../protocol/component-codec.ts";
import type { IncarnationReference } from "../../protocol/registry-codec.ts";
import { Checkpoints } from "../checkpoints.ts";
import { forgetInstance, keepInstance, keepPipeline, loadKeptState } from "../kept-state.ts";
import { componentSpec, registration } from "../pipeline.fake.ts";
import { Registry } from "../registry.ts";
import { StateWriter } from "../state-writer.ts";
import { createMemoryStore } from "../store/memory-store.ts";
import type { Store } from "../store/store.ts";
import { PartitionTable } from "./partition-table.ts";

const partitions = ["a", "b", "c", "d", "e"].map((id) => ({ id, identity: `what ${id} is` }));
const most = 4;

/** A program of an instance: what it was given, and how far it has read. */
interface Program {
  readonly who: IncarnationReference;
  readonly reading: Map<string, { readonly epoch: number; position: number; revoked: boolean }>;
  readonly done: Map<string, number>;
}

/** Programs that read and save, over a control plane that is killed and forgets what was not on its disk. */
class World {
  readonly #disk = createMemoryStore();
  readonly #clock = fakeClock(1_000);
  readonly #programs = new Map<number, Program>();
  /** By partition: what was read and saved. */
  readonly saved = new Map<string, number>();
  #replicas = 2;
  #applied = 0;
  #incarnations = 0;
  #alive = { isKilled: false };
  #registry!: Registry;
  #table!: PartitionTable;
  #writer!: StateWriter;

  async boot(): Promise<void> {
    this.#alive.isKilled = true;
    const alive = { isKilled: false };
    this.#alive = alive;
    const store: Store = {
      ...this.#disk,
      write: async (changes, options) => {
        await new Promise(setImmediate);
        // What a killed control plane had not written is not written.
        if (alive.isKilled) return await new Promise(() => undefined);
        await this.#disk.write(changes, options);
      },
    };
    const kept = await loadKeptState(this.#disk);
    const writer = new StateWriter(store, () => undefined);
    const registry = new Registry({
      pipeline: "p",
      clock: this.#clock,
      unhealthyAfterMs: 30_000,
      journal: {
        event: () => undefined,
        pipelineChanged: (pipeline) => keepPipeline(writer, pipeline),
        instanceChanged: (instance) => keepInstance(writer, instance),
        instanceRemoved: (componentId, id) => forgetInstance(writer, componentId, id),
      },
      restored: kept,
    });
    const checkpoints = new Checkpoints(writer, kept.positions);
    this.#writer = writer;
    this.#registry = registry;
    this.#table = new PartitionTable({ registry, checkpoints, writer, clock: this.#clock, goneAfterMs: 30_000, kept });
    this.#apply();
    for (const [number, { who }] of this.#programs) if (!(await this.#register(who))) this.#programs.delete(number);
  }

  async start(number: number): Promise<void> {
    if (number > this.#replicas || this.#programs.has(number)) return;
    const instanceId = `source-${number}`;
    const who = { pipeline: "p", componentId: "source", instanceId, incarnation: String(++this.#incarnations) };
    if (await this.#register(who)) this.#programs.set(number, { who, reading: new Map(), done: new Map() });
  }

  /** It hears what the control plane says now. */
  hear(number: number): void {
    const program = this.#programs.get(number);
    if (program === undefined) return;
    for (const { partition, epoch, position, revoked } of this.#table.viewOf(program.who).assignments) {
      const known = program.reading.get(partition);
      if (epoch <= (program.done.get(partition) ?? 0)) continue;
      if (known !== undefined) known.revoked ||= revoked && known.epoch === epoch;
      else program.reading.set(partition, { epoch, position: Number(String(position ?? 0)), revoked });
    }
    this.check();
  }

  /** Reads one more of each of its partitions, and saves that; gives back what is to be given back. */
  async work(number: number): Promise<void> {
    const program = this.#programs.get(number);
    if (program === undefined) return;
    for (const [partition, one] of program.reading) {
      const identity = partitions.find(({ id }) => id === partition)!.identity;
      const next = one.revoked ? one.position : one.position + 1;
      const save = { partition, identity, epoch: one.epoch, position: Buffer.from(String(next)) };
      const before = this.#alive;
      const saving = this.#table.save(program.who, { ...save, state: one.revoked ? "released" : "reading" });
      await saving;
      expect(before.isKilled).toBe(false);
      if (!one.revoked) expect(next, `${partition} goes on where it was`).toBe((this.saved.get(partition) ?? 0) + 1);
      one.position = next;
      this.saved.set(partition, next);
      if (!one.revoked) continue;
      program.reading.delete(partition);
      program.done.set(partition, one.epoch);
    }
  }

  kill(number: number, isSeen: boolean): void {
    const program = this.#programs.get(number);
    if (program === undefined) return;
    this.#programs.delete(number);
    const { componentId, instanceId } = program.who;
    if (isSeen) this.#seeExit(componentId, instanceId);
    this.#table.refreshAll();
  }

  async scale(replicas: number): Promise<void> {
    this.#replicas = replicas;
    this.#apply();
    await this.#writer.durable();
    this.#table.refreshAll();
  }

  /** What is too much ends, as its driver makes it. */
  endSurplus(): void {
    for (let number = this.#replicas + 1; number <= most; number++) {
      const program = this.#programs.get(number);
      this.#programs.delete(number);
      if (program !== undefined)
        this.#registry.deregister({ ...program.who, reason: "stopped", message: "", metrics: noMetrics });
      const seen = { componentId: "source", instanceId: `source-${number}`, observation: "removed" } as const;
      this.#registry.report(seen, this.#clock.now());
    }
    this.#table.refreshAll();
  }

  /** Resolves when everything that was decided is on the disk and told. */
  async settle(): Promise<void> {
    await this.#table.settled("source");
  }

  check(): void {
    for (const { id } of partitions) {
      const readers = [...this.#programs.values()].filter(({ reading }) => reading.has(id));
      expect(readers.length, `programs that read ${id}`).toBeLessThanOrEqual(1);
    }
  }

  /** Nothing goes wrong any more: everybody who is wanted is there, hears and works. */
  async recover(): Promise<void> {
    this.endSurplus();
    for (let number = 1; number <= this.#replicas; number++) {
      if (!this.#programs.has(number)) this.#seeExit("source", `source-${number}`);
      await this.start(number);
    }
    for (let round = 0; round < 8; round++) {
      await this.settle();
      for (let number = 1; number <= this.#replicas; number++) {
        this.hear(number);
        await this.work(number);
      }
    }
    const shares = [...this.#programs.values()].map(({ reading }) => reading.size);
    expect(shares.reduce((sum, share) => sum + share, 0)).toBe(partitions.length);
    expect(Math.max(...shares) - Math.min(...shares)).toBeLessThanOrEqual(1);
  }

  #apply(): void {
    const source = componentSpec({ id: "source", type: "source", replicas: this.#replicas });
    try {
      this.#registry.apply({ name: "p", driver: "process", components: [source] });
      this.#applied = this.#replicas;
    } catch (error) {
      // Whoever scales back what still leaves has to wait.
      if (!hasCode(error, "registry/still-leaving")) throw error;
      this.#replicas = this.#applied;
    }
  }

  #seeExit(componentId: string, instanceId: string): void {
    this.#registry.report({ componentId, instanceId, observation: "exited", exitCode: 137 }, this.#clock.now());
  }

  /** False when it may not: it is not wanted any more, or the one before is not known to have ended. */
  async #register(who: IncarnationReference): Promise<boolean> {
    const request = { ...registration(who), type: "source", partitions } as const;
    const before = this.#registry.entry("source", who.instanceId)?.data.incarnation;
    this.#table.admit(request);
    try {
      this.#registry.register(request);
    } catch (error) {
      if (error instanceof FlowctlError && (error.kind === "conflict" || error.kind === "unavailable")) return false;
      throw error;
    }
    this.#table.registered(request, before !== who.incarnation);
    await this.#table.settled("source");
    return true;
  }
}

const number = fc.integer({ min: 1, max: most });
const step = fc.oneof(
  fc.tuple(fc.constant("start" as const), number),
  fc.tuple(fc.constant("hear" as const), number),
  fc.tuple(fc.constant("work" as const), number),
  fc.tuple(fc.constant("kill" as const), number),
  fc.tuple(fc.constant("vanish" as const), number),
  fc.tuple(fc.constant("scale" as const), number),
  fc.tuple(fc.constant("end surplus" as const), number),
  fc.tuple(fc.constant("restart" as const), number),
  fc.tuple(fc.constant("settle" as const), number),
);

it("has no partition read twice and none left out, and every position goes on, whoever comes, goes, dies or is restarted", async () => {
  await fc.assert(
    fc.asyncProperty(fc.array(step, { minLength: 10, maxLength: 60 }), async (steps) => {
      const world = new World();
      await world.boot();
      for (const [what, which] of steps) {
        if (what === "start") await world.start(which);
        if (what === "hear") world.hear(which);
        if (what === "work") await world.work(which);
        if (what === "kill") world.kill(which, true);
        if (what === "vanish") world.kill(which, false);
        if (what === "scale") await world.scale(which);
        if (what === "end surplus") world.endSurplus();
        if (what === "restart") await world.boot();
        if (what === "settle") await world.settle();
        world.check();
      }
      await world.recover();
    }),
    { numRuns: 100 },
  );
});
