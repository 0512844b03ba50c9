import { eventLine } from "../../event-files/event-line.ts";
import type { ComponentDefinition } from "../../sdk/index.ts";
import { defineSink } from "../../sdk/index.ts";
import { builtInVersion } from "../built-in-version.ts";
import { joinLines, payloadLine, prettyLine } from "./lines.ts";
import { stdoutConfig } from "./stdout.spec.ts";

/** Where the sink prints. */
export interface Output {
  write(bytes: Uint8Array, done: (error?: Error | null) => void): boolean;
}

const lines = { payload: payloadLine, json: eventLine, pretty: prettyLine };

/** A sink that prints to `output`. A batch counts as written when the operating system has taken it. */
export function createStdout(output: Output): ComponentDefinition {
  return defineSink({
    name: "stdout",
    version: builtInVersion,
    config: stdoutConfig,
    open: ({ config }) => ({
      write(events) {
        const bytes = joinLines(events, lines[config.format]);
        return new Promise((resolve, reject) => {
          output.write(bytes, (error) => (error ? reject(error) : resolve()));
        });
      },
    }),
  });
}
