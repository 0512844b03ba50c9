import { systemClock } from "../foundation/clock.ts";
import type { BuiltinSpec } from "../pipeline/catalog.ts";
import type { ComponentDefinition } from "../sdk/index.ts";

/** A built-in, of which nothing is loaded that is not asked for: a component loads its program alone, and a check the spec. */
interface Builtin {
  readonly spec: () => Promise<BuiltinSpec>;
  readonly program: () => Promise<ComponentDefinition>;
}

/** Everything that `uses:` can name, by `builtinKey`. */
export const builtins: Readonly<Record<string, Builtin>> = {
  "source/dead-letters": {
    spec: async () => (await import("./sources/dead-letters.spec.ts")).deadLettersSpec,
    program: async () => (await import("./sources/dead-letters.ts")).createDeadLetters(systemClock),
  },
  "source/file": {
    spec: async () => (await import("./sources/file.spec.ts")).fileSourceSpec,
    program: async () => (await import("./sources/file.ts")).createFileSource(systemClock),
  },
  "source/generator": {
    spec: async () => (await import("./sources/generator.spec.ts")).generatorSpec,
    program: async () => (await import("./sources/generator.ts")).createGenerator(systemClock),
  },
  "source/http-poll": {
    spec: async () => (await import("./sources/http-poll.spec.ts")).httpPollSpec,
    program: async () => (await import("./sources/http-poll.ts")).createHttpPoll(systemClock),
  },
  "processor/filter": {
    spec: async () => (await import("./processors/filter.spec.ts")).filterSpec,
    program: async () => (await import("./processors/filter.ts")).filter,
  },
  "processor/map": {
    spec: async () => (await import("./processors/map.spec.ts")).mapSpec,
    program: async () => (await import("./processors/map.ts")).map,
  },
  "sink/discard": {
    spec: async () => (await import("./sinks/discard.spec.ts")).discardSpec,
    program: async () => (await import("./sinks/discard.ts")).createDiscard(systemClock),
  },
  "sink/file": {
    spec: async () => (await import("./sinks/file.spec.ts")).fileSinkSpec,
    program: async () => (await import("./sinks/file.ts")).fileSink,
  },
  "sink/stdout": {
    spec: async () => (await import("./sinks/stdout.spec.ts")).stdoutSpec,
    program: async () => (await import("./sinks/stdout.ts")).createStdout(process.stdout),
  },
};
