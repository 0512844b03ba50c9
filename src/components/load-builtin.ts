import { systemClock } from "../foundation/clock.ts";
import type { ComponentType } from "../pipeline/pipeline.ts";
import { type ComponentDefinition, FlowctlError } from "../sdk/index.ts";

type Load = () => Promise<ComponentDefinition>;

/**
 * Keys as in the catalog, which a test compares. Two tables: one that imported specs when they are asked for would cost `validate` an
 * eighth more, and one that imported them all would load each component with what only some need.
 */
const loaders: Readonly<Record<string, Load>> = {
  "source/dead-letters": async () => (await import("./sources/dead-letters.ts")).createDeadLetters(systemClock),
  "source/file": async () => (await import("./sources/file.ts")).createFileSource(systemClock),
  "source/generator": async () => (await import("./sources/generator.ts")).createGenerator(systemClock),
  "source/http-poll": async () => (await import("./sources/http-poll.ts")).createHttpPoll(systemClock),
  "source/postgres": async () => (await import("./sources/postgres.ts")).createPostgresSource(systemClock),
  "processor/filter": async () => (await import("./processors/filter.ts")).filter,
  "processor/map": async () => (await import("./processors/map.ts")).map,
  "processor/sample": async () => (await import("./processors/sample.ts")).sample,
  "processor/throttle": async () => (await import("./processors/throttle.ts")).createThrottle(systemClock),
  "processor/unnest": async () => (await import("./processors/unnest.ts")).unnest,
  "sink/discard": async () => (await import("./sinks/discard.ts")).createDiscard(systemClock),
  "sink/file": async () => (await import("./sinks/file.ts")).fileSink,
  "sink/postgres": async () => (await import("./sinks/postgres.ts")).createPostgresSink(systemClock),
  "sink/stdout": async () => (await import("./sinks/stdout.ts")).createStdout(process.stdout),
};

/** The implementation of a built-in, loaded when it is asked for. Rejects with `components/unknown-builtin`. */
export async function loadBuiltin(type: ComponentType, name: string): Promise<ComponentDefinition> {
  const load = Object.hasOwn(loaders, `${type}/${name}`) ? loaders[`${type}/${name}`] : undefined;
  if (load !== undefined) return load();
  throw new FlowctlError({
    code: "components/unknown-builtin",
    kind: "not-found",
    message: `unknown built-in ${type} '${name}'`,
    fix: `use one of ${Object.keys(loaders).join(", ")}`,
  });
}
