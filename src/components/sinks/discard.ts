import type { Clock } from "../../foundation/clock.ts";
import type { ComponentDefinition } from "../../sdk/index.ts";
import { defineSink } from "../../sdk/index.ts";
import { builtInVersion } from "../built-in-version.ts";
import { durationMs } from "../duration.ts";
import { discardConfig } from "./discard.spec.ts";

export function createDiscard(clock: Clock): ComponentDefinition {
  return defineSink({
    name: "discard",
    version: builtInVersion,
    config: discardConfig,
    open({ config, log }) {
      const delayMs = config.delay === undefined ? 0 : durationMs(config.delay);
      let discarded = 0;
      return {
        async write(events) {
          if (delayMs > 0) await clock.sleep(delayMs);
          discarded += events.length;
        },
        async close() {
          log.info("discarded", { events: discarded });
        },
      };
    },
  });
}
