import type { Clock } from "../../foundation/clock.ts";
import { type ComponentDefinition, defineProcessor } from "../../sdk/index.ts";
import { builtInVersion } from "../built-in-version.ts";
import { throttleConfig } from "./throttle.spec.ts";

/**
 * Holds an event until its turn, and by that everything upstream: nothing is dropped. An event that waits when the component is to stop
 * is given up, and delivered again to whoever comes next.
 */
export function createThrottle(clock: Clock): ComponentDefinition {
  return defineProcessor({
    name: "throttle",
    version: builtInVersion,
    config: throttleConfig,
    open({ config, signal }) {
      const apartMs = 1000 / config.rate;
      /** When all that may pass at once may pass again: in the future as far as some of it is used. */
      let fullAt = clock.elapsed();
      return {
        process(event, emit) {
          const now = clock.elapsed();
          const waitMs = fullAt - now - (config.burst - 1) * apartMs;
          fullAt = Math.max(fullAt, now) + apartMs;
          if (waitMs <= 0) return emit(event);
          return clock.sleep(waitMs, signal).then(() => emit(event));
        },
      };
    },
  });
}
