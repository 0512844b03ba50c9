import { setTimeout as sleep } from "node:timers/promises";
import { defineSource, run } from "flowctl/sdk";
import { z } from "zod";

const config = z.strictObject({
  count: z.int().positive().default(10).describe("Number of events after which the source completes."),
  intervalMs: z.int().nonnegative().default(100).describe("Pause between two events, in milliseconds."),
});

/** Where to resume after a restart: the number of the last event that all downstream components have acknowledged. */
interface Position {
  readonly last: number;
}

await run(
  defineSource<z.output<typeof config>, Position>({
    name: "{{name}}",
    version: "0.1.0",
    config,
    produces: ["number.v1"],
    open({ config, position, signal }) {
      return {
        async run(emit) {
          for (let number = (position?.last ?? 0) + 1; number <= config.count && !signal.aborted; number++) {
            await emit({ type: "number.v1", json: { number } }, { last: number });
            await sleep(config.intervalMs, undefined, { signal }).catch(() => undefined);
          }
        },
      };
    },
  }),
);
