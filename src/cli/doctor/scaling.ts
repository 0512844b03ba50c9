import type { Pipeline } from "../../pipeline/pipeline.ts";
import type { PipelineRecord } from "../../protocol/records.ts";
import type { CommandContext } from "../command.ts";
import { load } from "../load.ts";
import type { SlowComponent } from "../slow-components.ts";

/** Whether a component can have so many instances. */
export interface Scaling {
  readonly instances: number;
  /** Why it cannot, and what would have to be different. */
  readonly refusal?: string;
}

/**
 * Whether these components can have one instance more, by id: whether their file would be valid with it. A component of which no
 * file is known is not among them.
 */
export async function scalingOf(
  context: CommandContext,
  file: Pipeline | undefined,
  components: readonly Pick<SlowComponent, "id">[],
  record: PipelineRecord | undefined,
): Promise<ReadonlyMap<string, Scaling>> {
  const found = new Map<string, Scaling>();
  if (file === undefined) return found;
  for (const { id } of components) {
    if (!file.components.some((component) => component.id === id)) continue;
    const instances = (record?.components.find((component) => component.id === id)?.desiredInstances ?? 1) + 1;
    const loaded = await load(context, file.files, { [id]: instances });
    const why = loaded.ok ? undefined : loaded.problems.find(({ severity }) => severity === "error");
    if (why === undefined) found.set(id, { instances });
    else {
      const refusal = [why.message, ...(why.fix === undefined ? [] : [why.fix.replace(/\.$/, "")])].join(". ");
      found.set(id, { instances, refusal });
    }
  }
  return found;
}
