import type { Clock } from "../../foundation/clock.ts";
import type { ComponentDefinition, EventInit } from "../../sdk/index.ts";
import { defineSource } from "../../sdk/index.ts";
import { builtInVersion } from "../built-in-version.ts";
import { compileTemplate } from "../expression/template.ts";
import { type GeneratorConfig, generatorConfig } from "./generator.spec.ts";
import { generatorExpressions } from "./generator-expressions.ts";
import { shardsOf } from "./generator-shards.ts";
import { SeededRandom } from "./seeded-random.ts";
import { ShardLoop } from "./shard-loop.ts";

/** The sequence number of the last event that was made. */
type GeneratorPosition = number;

/**
 * The events are the numbers 1 to `count`, in shards that the instances share. The id and the random values of an event depend
 * on its number and the seed only.
 */
export function createGenerator(clock: Clock): ComponentDefinition {
  let shared: { readonly loop: ShardLoop; readonly makeEvent: (sequence: number) => EventInit } | undefined;
  return defineSource<GeneratorConfig, GeneratorPosition>({
    name: "generator",
    version: builtInVersion,
    config: generatorConfig,
    partitions: ({ config }) => shardsOf(config.seed),
    open({ config, partition, position = 0, signal }) {
      const perMs = config.rate === "unlimited" ? Number.POSITIVE_INFINITY : config.rate / 1_000;
      shared ??= {
        loop: new ShardLoop(perMs, config.count ?? Number.MAX_SAFE_INTEGER, clock),
        makeEvent: eventMaker(config, clock),
      };
      const { loop, makeEvent } = shared;
      return {
        run: (emit) =>
          loop.run({
            number: Number(partition.id),
            after: position,
            emit: (sequence) => emit(makeEvent(sequence), sequence),
            signal,
          }),
      };
    },
  });
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
