import { defineProcessor, run } from "flowctl/sdk";
import { z } from "zod";

const config = z.strictObject({
  field: z.string().min(1).default("seen").describe("Name of the field to add to each event."),
});

await run(
  defineProcessor({
    name: "{{name}}",
    version: "0.1.0",
    config,
    open({ config, log }) {
      let seen = 0;
      return {
        // Emit any number of events per input event. If the promise rejects, the event is a bad event: `on_error` decides.
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
