import { defineProcessor, run } from "flowctl/sdk";
import { z } from "zod";

const config = z.strictObject({
  field: z.string().min(1).default("seen").describe("Name of the field that is added to each event."),
});

await run(
  defineProcessor({
    name: "{{name}}",
    version: "0.1.0",
    config,
    open({ config, log }) {
      let seen = 0;
      return {
        // Emit any number of events for each one. A rejection is a bad event: `on_error` of the pipeline decides.
        async process(event, emit) {
          const value = event.json() as Record<string, unknown>;
          seen++;
          await emit({ type: event.type, json: { ...value, [config.field]: true } });
        },
        async close() {
          log.info("processed", { events: seen });
        },
      };
    },
  }),
);
