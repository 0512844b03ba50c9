import { appendFile } from "node:fs/promises";
import { resolve } from "node:path";
import { defineSink, run } from "flowctl/sdk";
import { z } from "zod";

const config = z.strictObject({
  path: z
    .string()
    .min(1)
    .default("out.jsonl")
    .describe("File to append events to. A relative path is relative to the state directory of the instance."),
});

await run(
  defineSink({
    name: "{{name}}",
    version: "0.1.0",
    config,
    open({ config, log, stateDirectory }) {
      // The program folder is read-only in an image. The state directory is kept until `flowctl down -v`.
      const file = resolve(stateDirectory, config.path);
      log.info("appending", { file });
      return {
        // When the promise resolves, the events are acknowledged: they must be stored durably.
        async write(events) {
          await appendFile(file, events.map((event) => `${event.text()}\n`).join(""), { flush: true });
        },
      };
    },
  }),
);
