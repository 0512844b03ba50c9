import { createHash } from "node:crypto";
import { defineProcessor } from "../../sdk/index.ts";
import { builtInVersion } from "../built-in-version.ts";
import { EventScope, eventExpressions } from "../expression/event-scope.ts";
import { toJson } from "../expression/to-json.ts";
import { sampleConfig } from "./sample.spec.ts";

/** Chooses by a digest and not by chance, so that an event that is delivered again meets the same fate, at every instance. */
export const sample = defineProcessor({
  name: "sample",
  version: builtInVersion,
  config: sampleConfig,
  open({ config }) {
    const by = eventExpressions().mustCompile(config.by);
    const scope = new EventScope();
    return {
      process(event, emit) {
        scope.reset(event);
        const value = toJson(by.evaluate(scope));
        const text = typeof value === "string" ? value : JSON.stringify(value ?? null);
        if (placeOf(text) < config.rate) return emit(event);
      },
    };
  },
});

/** Where a text is between 0 and 1: even over all texts, and always the same. */
function placeOf(text: string): number {
  return createHash("sha256").update(text).digest().readUInt32BE(0) / 2 ** 32;
}
