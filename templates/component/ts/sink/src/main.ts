import { appendFile } from "node:fs/promises";
import { defineSink, run } from "flowctl/sdk";
import { z } from "zod";

const config = z.strictObject({
  path: z.string().min(1).default("out.jsonl").describe("The file that events are appended to."),
});

await run(
  defineSink({
    name: "{{name}}",
    version: "0.1.0",
    config,
    open({ config }) {
      return {
        // When it resolves the events count as durable and are acknowledged.
        async write(events) {
          await appendFile(config.path, events.map((event) => `${event.text()}\n`).join(""), { flush: true });
        },
      };
    },
  }),
);
