import type { Clock } from "../../foundation/clock.ts";
import type { ComponentDefinition, EventInit } from "../../sdk/index.ts";
import { defineSource } from "../../sdk/index.ts";
import { builtInVersion } from "../built-in-version.ts";
import { compileTemplate } from "../expression/template.ts";
import { type GeneratorConfig, generatorConfig } from "./generator.spec.ts";
import { generatorExpressions } from "./generator-expressions.ts";
import { SeededRandom } from "./seeded-random.ts";

/** The sequence number of the last event that was made. */
type GeneratorPosition = number;

/** At most so long a pause is made up for by a burst, in milliseconds. */
const catchUpMs = 1_000;

/**
 * Instance i of n makes the events number i, i + n, i + 2n …; all of them together are the numbers 1 to `count`. The
 * id and the random values of an event depend on its number only.
 */
export function createGenerator(clock: Clock): ComponentDefinition {
  return defineSource<GeneratorConfig, GeneratorPosition>({
    name: "generator",
    version: builtInVersion,
    config: generatorConfig,
    open({ config, instance, position, signal }) {
      const { index, replicas } = instance;
      const makeEvent = eventMaker(config, clock);
      const last = config.count ?? Number.MAX_SAFE_INTEGER;
      const perMs = config.rate === "unlimited" ? Number.POSITIVE_INFINITY : config.rate / replicas / 1_000;
      const pace = new Pace(perMs, clock, signal);
      return {
        async run(emit) {
          let sequence = firstAfter(position ?? 0, index, replicas);
          for (; sequence <= last; sequence += replicas) {
            if (!pace.due() && !(await pace.wait())) return;
            if (signal.aborted) return;
            await emit(makeEvent(sequence), sequence);
          }
        },
      };
    },
  });
}

/** The first number of instance `index` of `replicas` above `position`. */
function firstAfter(position: number, index: number, replicas: number): number {
  return index + Math.max(0, Math.ceil((position + 1 - index) / replicas)) * replicas;
}

/** Says when the next event is due. What a slow pipeline held up is made up for, but not without end. */
class Pace {
  readonly #perMs: number;
  readonly #clock: Clock;
  readonly #signal: AbortSignal;
  #start: number;
  #made = 0;

  constructor(perMs: number, clock: Clock, signal: AbortSignal) {
    this.#perMs = perMs;
    this.#clock = clock;
    this.#signal = signal;
    this.#start = clock.now();
  }

  /** Whether an event is due now, which counts as made then. */
  due(): boolean {
    if (this.#perMs === Number.POSITIVE_INFINITY) return true;
    const now = this.#clock.now();
    const due = (now - this.#start) * this.#perMs;
    if (due - this.#made > catchUpMs * this.#perMs + 1) {
      this.#start = now - catchUpMs;
      this.#made = 0;
    } else if (this.#made > due) {
      return false;
    }
    this.#made += 1;
    return true;
  }

  /** Waits until the next event is due; false when the signal fired before. */
  async wait(): Promise<boolean> {
    while (!this.due()) {
      const nextMs = this.#start + this.#made / this.#perMs - this.#clock.now();
      try {
        await this.#clock.sleep(Math.max(1, Math.ceil(nextMs)), this.#signal);
      } catch (error) {
        if (this.#signal.aborted) return false;
        throw error;
      }
    }
    return true;
  }
}

/** Variables of the template; made once, moved from event to event. */
class GeneratorScope {
  readonly #clock: Clock;
  sequence = 0n;

  constructor(clock: Clock) {
    this.#clock = clock;
  }

  get now(): Date {
    return new Date(this.#clock.now());
  }
}

function eventMaker(config: GeneratorConfig, clock: Clock): (sequence: number) => EventInit {
  const { type, size } = config;
  const content = contentMaker(config, clock);
  return (sequence) => {
    const payload = padded(content(sequence), size);
    return { type, payload, contentType: "application/json", timestamp: new Date(clock.now()) };
  };
}

function contentMaker(config: GeneratorConfig, clock: Clock): (sequence: number) => string {
  if (config.template === undefined) return (sequence) => `{"sequence":${sequence}}`;
  const random = new SeededRandom(config.seed);
  const template = compileTemplate(
    generatorExpressions(() => random.next()),
    config.template,
  );
  const scope = new GeneratorScope(clock);
  return (sequence) => {
    random.reset(sequence);
    scope.sequence = BigInt(sequence);
    return JSON.stringify(template.render(scope));
  };
}

const paddingStart = ',"padding":"';
const paddingEnd = '"}';

/** The JSON object with a field of filling, so that it has at least `size` bytes. */
function padded(json: string, size: number): string {
  const missing = size === 0 ? 0 : size - Buffer.byteLength(json);
  if (missing <= 0) return json;
  const start = json === "{}" ? paddingStart.slice(1) : paddingStart;
  const filling = "x".repeat(Math.max(0, missing - start.length - paddingEnd.length + 1));
  return json.slice(0, -1) + start + filling + paddingEnd;
}
