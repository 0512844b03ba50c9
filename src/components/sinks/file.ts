import { isDeadLetter } from "../../event-files/dead-letter.ts";
import { eventLine } from "../../event-files/event-line.ts";
import type { ComponentDefinition } from "../../sdk/index.ts";
import { defineSink, FlowctlError } from "../../sdk/index.ts";
import { builtInVersion } from "../built-in-version.ts";
import { fileSinkConfig } from "./file.spec.ts";
import { joinLines, type Line, payloadLine } from "./lines.ts";
import { OnceFile } from "./once-file.ts";

/** Dead letters keep what makes them replayable, unless the file says otherwise. */
const fitting: Line = (event) => (isDeadLetter(event) ? eventLine(event) : payloadLine(event));

const lines = { payload: payloadLine, event: eventLine };

/** One write, and one wait for the disk, a batch. An id that was written before is not written again. */
export const fileSink: ComponentDefinition = defineSink({
  name: "file",
  version: builtInVersion,
  config: fileSinkConfig,
  async open({ config, instance, log, stateDirectory }) {
    const path = pathOf(config.path, instance);
    const file = await OnceFile.open({
      path,
      stateDirectory,
      remember: config.remember,
      durable: config.durable,
      replace: config.mode === "replace",
    });
    if (file.recovery.cut > 0) log.info("truncated an incomplete batch", { path, bytes: file.recovery.cut });
    const line = config.format === undefined ? fitting : lines[config.format];
    let written = 0;
    let repeated = 0;
    return {
      async write(events) {
        const fresh = file.fresh(events);
        repeated += events.length - fresh.length;
        if (fresh.length === 0) return;
        await file.append(joinLines(fresh, line), fresh);
        written += fresh.length;
      },
      async close() {
        await file.close();
        log.info("closed", { path, written, repeated });
      },
    };
  },
});

function pathOf(path: string, instance: { readonly index: number; readonly replicas: number }): string {
  if (instance.replicas > 1 && !path.includes("{instance}")) {
    throw new FlowctlError({
      code: "components/shared-file",
      kind: "invalid",
      message: `${instance.replicas} instances cannot write to the same file: ${path}`,
      fix: "add {instance} to the path, such as out-{instance}.jsonl, or use one replica",
    });
  }
  return path.replaceAll("{instance}", String(instance.index));
}
