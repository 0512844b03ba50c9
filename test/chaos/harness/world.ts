import { cp, mkdir, writeFile } from "node:fs/promises";
import { join, resolve } from "node:path";
import { eventually, type Instance, Scenario } from "../../e2e/checks.ts";
import type { Ended } from "../../e2e/run-program.ts";
import { chaosImages, removeChaosImages } from "./chaos-images.ts";
import { type Abilities, FIRST } from "./choose-steps.ts";
import { ANCHOR, type Config } from "./config.ts";
import { History } from "./history.ts";
import type { OwnEngine } from "./own-engine.ts";
import { type Program, programOf } from "./processes.ts";
import { Progress } from "./progress.ts";
import { render, type Surroundings } from "./render.ts";
import { lastArrival, writtenBy } from "./sink-file.ts";
import { SmallDisk } from "./small-disk.ts";
import { CONTROL_PLANE, type Disk } from "./steps.ts";

export type DriverName = "process" | "docker";

/** Something that flowctl did and must not do, other than with events. */
export interface Problem {
  readonly what: string;
  readonly detail: string;
}

const fixture = resolve(import.meta.dirname, "fixtures/chaos-processor.mjs");
const dist = resolve(import.meta.dirname, "../../../dist");
/** A busy machine takes minutes for what takes a second on an idle one. */
const COMMAND_LIMIT_MS = 300_000;
const RUNNING = /^(starting|healthy|degraded|unhealthy|stopping|running)$/;

/** A pipeline that runs for real, what was asked of it so far, and the hands that reach into it. */
export class World implements AsyncDisposable {
  readonly scenario: Scenario;
  readonly driver: DriverName;
  readonly history = new History(FIRST);
  readonly problems: Problem[] = [];
  /** What is worth knowing and no failure: what was refused, what could not be done. */
  readonly notes: string[] = [];
  /** How often an `up` that nobody broke off had to be called again, as it had failed. */
  calledAgain = 0;
  /** Components and instances that were stopped and are to stay so. */
  readonly stopped = new Set<string>();
  readonly engine: OwnEngine | undefined;
  readonly disks: ReadonlyMap<Disk, SmallDisk>;
  #config = FIRST;
  readonly #surroundings: Surroundings;

  private constructor(
    scenario: Scenario,
    surroundings: Surroundings,
    disks: ReadonlyMap<Disk, SmallDisk>,
    engine: OwnEngine | undefined,
  ) {
    this.scenario = scenario;
    this.driver = scenario.driver;
    this.disks = disks;
    this.engine = engine;
    this.#surroundings = surroundings;
  }

  /** What the file says. */
  get config(): Config {
    return this.#config;
  }

  static async on(driver: DriverName, engine?: OwnEngine, pace = 1): Promise<World> {
    const surroundings = await surroundingsOf(driver, pace);
    const scenario = await Scenario.on(driver, render(FIRST, surroundings));
    if (driver === "docker") await layOutProgram(join(scenario.folder, "chaos"));
    const disks = new Map<Disk, SmallDisk>();
    if (process.getuid?.() === 0) {
      disks.set("small", await SmallDisk.over(join(scenario.folder, "small"), 128));
      if (driver === "process") disks.set("state", await SmallDisk.over(join(scenario.folder, ".home"), 256));
    }
    return new World(scenario, surroundings, disks, engine);
  }

  get abilities(): Abilities {
    return { disks: [...this.disks.keys()], images: this.driver === "docker", engine: this.engine !== undefined };
  }

  /** Writes the file anew. */
  async write(config: Config): Promise<void> {
    this.#config = config;
    await this.scenario.pipeline(render(config, this.#surroundings));
  }

  /** Runs flowctl to its end; one that takes longer than five minutes is a problem, and ended with 124. */
  async flowctl(...args: string[]): Promise<Ended> {
    const { child, ended } = this.scenario.start(...args);
    const patience = setTimeout(() => child.kill("SIGKILL"), COMMAND_LIMIT_MS);
    const result = await ended.finally(() => clearTimeout(patience));
    if (result.code !== 137) return result;
    this.problem("a command does not return", `flowctl ${args.join(" ")}\n${result.stdout}\n${result.stderr}`);
    return { ...result, code: 124 };
  }

  problem(what: string, detail: string): void {
    this.problems.push({ what, detail });
  }

  /** Instances as `flowctl ps` has them; undefined while it cannot say. */
  async instances(): Promise<readonly Instance[] | undefined> {
    const { code, stdout } = await this.flowctl("ps", this.scenario.name, "--json");
    return code === 0 ? (JSON.parse(stdout) as Instance[]) : undefined;
  }

  /** The program of an instance; undefined while none runs. */
  async program(instance: string): Promise<Program | undefined> {
    const found = (await this.instances())?.find((it) => it.instance === instance);
    return found === undefined ? undefined : await programOf(this.driver, found.ref);
  }

  /** Those of the instances that are to be stopped and run. */
  async runningThoughStopped(): Promise<readonly string[]> {
    if (this.stopped.size === 0) return [];
    const running = ((await this.instances()) ?? []).filter(({ state }) => RUNNING.test(state));
    return running.flatMap(({ instance, component, state }) =>
      this.stopped.has(instance) || this.stopped.has(component) ? [`${instance} is ${state}`] : [],
    );
  }

  /** Everything but the control plane is stopped, in the end. */
  async allStopped(): Promise<void> {
    let running: readonly string[] = [];
    await eventually(
      "everything is stopped",
      async () => {
        const instances = (await this.instances()) ?? [];
        running = instances.flatMap(({ component, instance, state }) =>
          component !== CONTROL_PLANE && RUNNING.test(state) ? [`${instance} ${state}`] : [],
        );
        return running.length === 0;
      },
      60_000,
    ).catch(() => this.problem("still runs after Ctrl-C", running.join(", ")));
  }

  /**
   * Waits until a sink has an event that was made after the moment; gives how long that took in milliseconds. Undefined when none of
   * the sinks has written anything for `stillMs`: one that has much to catch up with first does not stand still.
   */
  async recovery(sinks: readonly string[], since: number, stillMs: number): Promise<number | undefined> {
    const { folder } = this.scenario;
    const progress = new Progress(stillMs, () => writtenBy(folder, sinks));
    while (!(await progress.isOver())) {
      for (const sink of sinks) {
        const last = await lastArrival(folder, sink);
        if (last !== undefined && last.madeAt > since) return Date.now() - since;
      }
      await new Promise((wake) => setTimeout(wake, 100));
    }
    return undefined;
  }

  /** Sinks that hear of every event that goes through a component. */
  witnesses(id: string): readonly string[] {
    const { components } = this.#config;
    if (id === CONTROL_PLANE) return [ANCHOR];
    const component = components[id];
    if (component === undefined) return [];
    if (component.kind === "sink") return id === "letters" ? [] : [id];
    return Object.entries(components).flatMap(([below, it]) =>
      it.kind === "sink" && it.inputs.some(({ from, types }) => from === id && types.length === 0) ? [below] : [],
    );
  }

  /** Sinks on the file system that can be filled. */
  get onSmallDisk(): readonly string[] {
    const { components } = this.#config;
    return Object.keys(components).filter((id) => {
      const component = components[id]!;
      return component.kind === "sink" && component.onSmallDisk;
    });
  }

  /** Keeps everything there is of it in FLOWCTL_TEST_ARTIFACTS, where that is set; before it is taken down. */
  async keep(said: readonly string[]): Promise<void> {
    const artifacts = process.env.FLOWCTL_TEST_ARTIFACTS;
    if (artifacts === undefined) return;
    const folder = join(artifacts, this.scenario.name);
    await mkdir(folder, { recursive: true });
    await writeFile(join(folder, "run.txt"), said.join("\n"));
    for (const command of ["status", "ps", "events", "logs"]) {
      const { stdout, stderr } = await this.flowctl(
        command,
        "-p",
        this.scenario.name,
        ...(command === "logs" ? ["-t"] : []),
      );
      await writeFile(join(folder, `${command}.txt`), stdout + stderr);
    }
    await cp(this.scenario.folder, join(folder, "folder"), {
      recursive: true,
      filter: (path) => !path.endsWith(".sock") && !path.includes("/chaos/dist"),
    });
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.scenario.flowctl("down", this.scenario.name, "-v", "--timeout", "0").catch(() => undefined);
    for (const disk of this.disks.values()) await disk[Symbol.asyncDispose]();
    await this.scenario[Symbol.asyncDispose]();
    const { images } = this.#surroundings;
    if (images !== undefined) await removeChaosImages(images);
  }
}

async function surroundingsOf(driver: DriverName, pace: number): Promise<Surroundings> {
  if (driver === "process") return { driver, pace, chaosCommand: [process.execPath, fixture, join(dist, "sdk.js")] };
  const chaosCommand = ["node", "/chaos/chaos-processor.mjs", "/chaos/dist/sdk.js"];
  return { driver, pace, chaosCommand, images: await chaosImages() };
}

/** The folder that the chaos processor's containers see as /chaos: the program, and the SDK, which flowctl's image has not. */
async function layOutProgram(folder: string): Promise<void> {
  await mkdir(folder);
  await cp(fixture, join(folder, "chaos-processor.mjs"));
  await cp(dist, join(folder, "dist"), { recursive: true });
  await writeFile(join(folder, "package.json"), '{ "type": "module" }');
}
