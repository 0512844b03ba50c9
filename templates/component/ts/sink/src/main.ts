import { appendFile } from "node:fs/promises";
import { resolve } from "node:path";
import { defineSink, run } from "flowctl/sdk";
import { z } from "zod";

const config = z.strictObject({
  path: z
    .string()
    .min(1)
    .default("out.jsonl")
    .describe("The file that events are appended to. A relative path starts in the instance's own state directory."),
});

await run(
  defineSink({
    name: "{{name}}",
    version: "0.1.0",
    config,
    open({ config, log, stateDirectory }) {
      // The folder of the program is read-only in an image. The state directory outlives the instance, until `flowctl down -v`.
      const file = resolve(stateDirectory, config.path);
      log.info("appending", { file });
      return {
        // When it resolves the events count as durable and are acknowledged.
        async write(events) {
          await appendFile(file, events.map((event) => `${event.text()}\n`).join(""), { flush: true });
        },
      };
    },
  }),
);
