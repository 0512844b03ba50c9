import {
  ANCHOR,
  type Buffer,
  type Component,
  type Config,
  type EventType,
  type Input,
  idsOf,
  inputsOf,
  instancesOf,
  type Processor,
  type Sink,
} from "./config.ts";
import { applyEdit, type Edit } from "./edits.ts";
import type { Random } from "./random.ts";
import { type Action, CONTROL_PLANE, type Disk, type EditedHow, type Step } from "./steps.ts";

/** What can be done where the run takes place. */
export interface Abilities {
  readonly disks: readonly Disk[];
  readonly images: boolean;
  readonly engine: boolean;
}

/** The file that every run begins with: fan-out, fan-in, replicas, a buffer on disk, and dead letters. */
export const FIRST: Config = {
  components: {
    numbers: { kind: "source", replicas: 1, environment: 0, rate: 1_000 },
    more: { kind: "source", replicas: 1, environment: 0, rate: 400 },
    first: processor("map", [{ from: "numbers", types: [] }]),
    second: { ...processor("map", [plain("numbers"), plain("more")]), replicas: 2, partitioned: true },
    picky: { ...processor("chaos", [plain("first")]), onError: "dead_letter", deadLettersTo: "letters" },
    [ANCHOR]: sink([plain("numbers"), plain("more")]),
    letters: sink([plain("more")]),
    direct: sink([plain("numbers")]),
    joined: sink([plain("second"), plain("first")]),
    kept: sink([{ from: "second", types: [], buffer: { type: "disk", maxEvents: 20_000, whenFull: "block" } }]),
    picked: { ...sink([plain("picky")]), onSmallDisk: true },
    lossy: sink([{ from: "first", types: [], buffer: { type: "memory", maxEvents: 500, whenFull: "drop_oldest" } }]),
  },
};

function plain(from: string): Input {
  return { from, types: [] };
}

function processor(program: Processor["program"], inputs: readonly Input[]): Processor {
  return {
    ...{ kind: "processor", program, inputs, replicas: 1, environment: 0, version: 0 },
    ...{ partitioned: false, typed: false, onError: "drop", image: "a" },
  };
}

function sink(inputs: readonly Input[]): Sink {
  return { kind: "sink", inputs, replicas: 1, environment: 0, version: 0, onSmallDisk: false };
}

/**
 * Steps for one run, each of which fits what the file is by then if all before it succeed. Where one was refused, those
 * after it that do not fit any more are left out when they are done.
 */
export function chooseSteps(random: Random, count: number, abilities: Abilities): readonly Step[] {
  const chooser = new Chooser(random, abilities);
  return Array.from({ length: count }, () => ({ ...chooser.next(), settle: random.chance(0.6) }));
}

class Chooser {
  readonly #random: Random;
  readonly #abilities: Abilities;
  #config = FIRST;
  readonly #stopped = new Set<string>();
  #made = 0;

  constructor(random: Random, abilities: Abilities) {
    this.#random = random;
    this.#abilities = abilities;
  }

  next(): Action {
    const random = this.#random;
    const { disks, engine } = this.#abilities;
    const kind = random.weighted({
      edit: 12,
      kill: 6,
      freeze: 1,
      "fill-disk": disks.length > 0 ? 1.5 : 0,
      "restart-engine": engine ? 1 : 0,
      stop: 1.5,
      start: this.#stopped.size > 0 ? 4 : 0,
      restart: 1.5,
      scale: 2,
      "up-against-down": 0.6,
      interrupt: 0.8,
    });
    switch (kind) {
      case "edit":
        return this.#edit();
      case "kill":
        return { kind, instance: random.chance(0.25) ? CONTROL_PLANE : this.#instance() };
      case "freeze":
        return { kind, instance: this.#instance(), ms: random.pick([500, 2_000, 5_000]) };
      case "fill-disk":
        return { kind, disk: random.pick(disks), ms: random.pick([1_000, 2_500]) };
      case "restart-engine":
        return { kind, signal: random.pick(["SIGTERM", "SIGKILL"]) };
      case "stop":
      case "restart": {
        const target = random.chance(0.5) ? random.pick(this.#ids()) : this.#instance();
        if (kind === "stop") this.#stopped.add(target);
        return { kind, target };
      }
      case "start": {
        const target = random.pick([...this.#stopped]);
        this.#stopped.delete(target);
        return { kind, target };
      }
      case "scale":
        return { kind, id: random.pick(this.#ids().filter((id) => id !== ANCHOR)), replicas: random.between(1, 3) };
      case "up-against-down":
      case "interrupt":
        this.#stopped.clear();
        return { kind, afterMs: random.between(0, 4_000) };
    }
  }

  #ids(): readonly string[] {
    return Object.keys(this.#config.components);
  }

  #instance(): string {
    return this.#random.pick(Object.entries(this.#config.components).flatMap(([id, made]) => instancesOf(id, made)));
  }

  #edit(): Action {
    for (;;) {
      const edit = this.#someEdit();
      const next = edit === undefined ? undefined : applyEdit(this.#config, edit);
      if (edit === undefined || next === undefined) continue;
      this.#config = next;
      this.#stopped.clear();
      const how: EditedHow = this.#random.weighted({ once: 8, killed: 1.5, twice: 1, interrupted: 0.7 });
      return { kind: "edit", edit, how, afterMs: how === "once" ? 0 : this.#random.between(200, 4_000) };
    }
  }

  #someEdit(): Edit | undefined {
    const random = this.#random;
    const op = random.weighted<Edit["op"]>({
      ...{ add: 3, remove: 2, rename: 1.5, rewire: 2.5, buffer: 5, types: 1, partition_by: 1, on_error: 1 },
      ...{ with: 1, typed: 0.5, environment: 1, image: this.#abilities.images ? 1 : 0.5, replicas: 3 },
    });
    const { components } = this.#config;
    const free = this.#ids().filter((id) => id !== ANCHOR);
    const id = random.pick(free);
    const component = components[id]!;
    switch (op) {
      case "add":
        return this.#addition();
      case "remove":
        // The first source stays: without it little is left to be proven.
        return id === "numbers" || Object.keys(components).length < 7 ? undefined : { op, id };
      case "rename":
        return component.kind === "source" ? undefined : { op, id, to: this.#name(component.kind) };
      case "rewire":
        return component.kind === "source" ? undefined : { op, id, from: this.#upstreams(id) };
      case "buffer": {
        const [on, input] = this.#someInput(this.#ids());
        return { op, id: on, input: input.from, buffer: this.#buffer(on !== ANCHOR) };
      }
      case "types": {
        const [on, input] = this.#someInput(free);
        const types = random.pick<readonly EventType[]>([[], [], ["even"], ["odd"], ["plain", "even"]]);
        return this.#gives(input.from, types) ? { op, id: on, input: input.from, types } : undefined;
      }
      case "partition_by":
        return component.kind === "processor" ? { op, id, partitioned: !component.partitioned } : undefined;
      case "on_error": {
        if (component.kind !== "processor" || component.program !== "chaos") return undefined;
        const sinks = idsOf(this.#config, "sink").filter((name) => name !== ANCHOR);
        const drops = random.chance(0.3);
        return { op, id, onError: drops ? "drop" : "dead_letter", to: drops ? null : random.pick(sinks) };
      }
      case "with":
        return component.kind === "source" ? undefined : { op, id, version: component.version + 1 };
      case "typed":
        return component.kind === "processor" && this.#takenWhole(id) ? { op, id, typed: !component.typed } : undefined;
      case "environment":
        return { op, id, environment: component.environment + 1 };
      case "image":
        return component.kind === "processor" ? { op, id, image: component.image === "a" ? "b" : "a" } : undefined;
      case "replicas":
        return { op, id, replicas: random.between(1, 3) };
    }
  }

  #addition(): Edit {
    const random = this.#random;
    const kind = random.weighted({ source: 1, processor: 2, sink: 4 });
    const id = this.#name(kind);
    const inputs = this.#upstreams(id).map(plain);
    const replicas = random.pick([1, 1, 2]);
    const made: Record<typeof kind, () => Component> = {
      source: () => ({ kind: "source", replicas, environment: 0, rate: 300 }),
      processor: () => ({ ...processor(random.pick(["map", "map", "chaos"]), inputs), replicas }),
      sink: () => ({ ...sink(inputs), replicas, onSmallDisk: random.chance(0.3) }),
    };
    const below = idsOf(this.#config, "sink").filter((name) => name !== ANCHOR);
    return { op: "add", id, component: made[kind](), ...(kind === "processor" ? { into: random.pick(below) } : {}) };
  }

  #name(kind: Component["kind"]): string {
    this.#made++;
    return `${kind}${this.#made}`;
  }

  /** One or two components that could be taken from. */
  #upstreams(id: string): readonly string[] {
    const random = this.#random;
    const others = [...idsOf(this.#config, "source"), ...idsOf(this.#config, "processor")].filter((it) => it !== id);
    const one = random.pick(others);
    const rest = others.filter((other) => other !== one);
    return random.chance(0.7) || rest.length === 0 ? [one] : [one, random.pick(rest)];
  }

  #someInput(ids: readonly string[]): [string, Input] {
    const all = ids.flatMap((id) =>
      inputsOf(this.#config.components[id]!).map((input): [string, Input] => [id, input]),
    );
    return this.#random.pick(all);
  }

  #buffer(mayLose: boolean): Buffer | null {
    const random = this.#random;
    if (random.chance(0.25)) return null;
    const whenFull = mayLose
      ? random.pick<Buffer["whenFull"]>(["block", "block", "block", "drop_newest", "drop_oldest"])
      : "block";
    return { type: random.pick(["memory", "disk"]), maxEvents: random.pick([500, 5_000, 20_000]), whenFull };
  }

  /** Whether a component gives one of these types, as far as the file tells; any is always given. */
  #gives(from: string, types: readonly EventType[]): boolean {
    const upstream = this.#config.components[from];
    if (types.length === 0) return true;
    return upstream?.kind === "processor" && upstream.typed && types.every((type) => type !== "plain");
  }

  /** Whether nobody below chooses among its types. */
  #takenWhole(id: string): boolean {
    return Object.values(this.#config.components).every((component) =>
      inputsOf(component).every((input) => input.from !== id || input.types.length === 0),
    );
  }
}
