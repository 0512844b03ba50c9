import type { ComponentDefinition, Event } from "../../sdk/index.ts";
import { defineSink, FlowctlError } from "../../sdk/index.ts";
import { builtInVersion } from "../built-in-version.ts";
import { eventLine, joinLines, payloadLine } from "./event-line.ts";
import { fileSinkConfig } from "./file.spec.ts";
import { OnceFile } from "./once-file.ts";

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
    if (file.recovery.cut > 0) log.info("cut off an unfinished batch", { path, bytes: file.recovery.cut });
    const line = lines[config.format];
    let written = 0;
    let repeated = 0;
    return {
      async write(events) {
        const { fresh, keys } = withoutRepeated(events, file);
        repeated += events.length - fresh.length;
        if (fresh.length === 0) return;
        await file.append(joinLines(fresh, line), keys);
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
      message: `${instance.replicas} instances cannot write one file: ${path}`,
      fix: "put {instance} into the path, such as out-{instance}.jsonl, or use one replica",
    });
  }
  return path.replaceAll("{instance}", String(instance.index));
}

/**
 * The events that were not written before, each once, and what they are remembered by: the neighbour they came from
 * belongs to it, because one event that comes on two ways is two events to this sink.
 */
function withoutRepeated(events: readonly Event[], file: OnceFile): { fresh: Event[]; keys: string[] } {
  const batch = new Set<string>();
  const fresh: Event[] = [];
  for (const event of events) {
    const key = `${event.upstream}/${event.id}`;
    if (file.has(key) || batch.has(key)) continue;
    batch.add(key);
    fresh.push(event);
  }
  return { fresh, keys: [...batch] };
}
