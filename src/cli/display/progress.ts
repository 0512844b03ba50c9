import type { ProgressMode } from "../choices.ts";
import type { Output } from "./output.ts";
import { jsonProgress } from "./progress-json.ts";
import { plainProgress } from "./progress-plain.ts";
import type { ProgressRenderer } from "./progress-renderer.ts";

/** The renderer for a mode; `auto` is `tty` on a terminal, else `plain`, as is `tty` on a terminal without a width. Quiet and JSON output show none by default. */
export async function createProgress(output: Output, mode: ProgressMode): Promise<ProgressRenderer> {
  const { sink, stop } = await rendererFor(output, mode);
  return { sink: (event) => sink({ ...event, text: output.retyped(event.text) }), stop };
}

async function rendererFor(output: Output, mode: ProgressMode): Promise<ProgressRenderer> {
  switch (resolveMode(output, mode)) {
    case "tty":
      // A spinner cannot be drawn over where the terminal does not say how wide it is.
      if (output.stderr.columns === 0) return plainProgress(output);
      return (await import("./progress-tty.ts")).ttyProgress(output);
    case "plain":
      return plainProgress(output);
    case "json":
      return jsonProgress(output);
    default:
      return { sink: () => undefined, stop: () => undefined };
  }
}

function resolveMode(output: Output, mode: ProgressMode): ProgressMode {
  if (mode !== "auto") return mode;
  if (output.quiet || output.json) return "quiet";
  return output.stderr.isTTY === true ? "tty" : "plain";
}
