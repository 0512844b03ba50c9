import type { Output } from "./output.ts";
import type { ProgressRenderer } from "./progress-renderer.ts";

/** Every event as one JSON object a line on standard error. */
export function jsonProgress(output: Output): ProgressRenderer {
  let stopped = false;
  return {
    sink: (event) => {
      if (!stopped) output.stderr.write(`${JSON.stringify({ progress: event })}\n`);
    },
    stop: () => {
      stopped = true;
    },
  };
}
