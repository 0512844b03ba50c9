import { type BuiltinCatalog, type BuiltinSpec, builtinKey } from "../pipeline/catalog.ts";
import { filterSpec } from "./processors/filter.spec.ts";
import { mapSpec } from "./processors/map.spec.ts";
import { sampleSpec } from "./processors/sample.spec.ts";
import { throttleSpec } from "./processors/throttle.spec.ts";
import { unnestSpec } from "./processors/unnest.spec.ts";
import { discardSpec } from "./sinks/discard.spec.ts";
import { fileSinkSpec } from "./sinks/file.spec.ts";
import { postgresSinkSpec } from "./sinks/postgres.spec.ts";
import { stdoutSpec } from "./sinks/stdout.spec.ts";
import { deadLettersSpec } from "./sources/dead-letters.spec.ts";
import { fileSourceSpec } from "./sources/file.spec.ts";
import { generatorSpec } from "./sources/generator.spec.ts";
import { httpPollSpec } from "./sources/http-poll.spec.ts";
import { postgresSourceSpec } from "./sources/postgres.spec.ts";

const specs: readonly BuiltinSpec[] = [
  deadLettersSpec,
  fileSourceSpec,
  generatorSpec,
  httpPollSpec,
  postgresSourceSpec,
  filterSpec,
  mapSpec,
  sampleSpec,
  throttleSpec,
  unnestSpec,
  discardSpec,
  fileSinkSpec,
  postgresSinkSpec,
  stdoutSpec,
];

/** The specs of everything that `uses:` can name. Loading it loads no implementation. */
export const builtinCatalog: BuiltinCatalog = new Map(specs.map((spec) => [builtinKey(spec.type, spec.name), spec]));
