import type { ObservedResource } from "../drivers/driver.ts";
import { counted } from "../foundation/counted.ts";
import { instanceIdsOf, type PipelineRecord } from "../protocol/records.ts";

/** An instance that is to run and of which the driver has nothing. */
export interface MissingInstance {
  readonly id: string;
  readonly component: string;
  /** Events that wait for the component, as those above it said last. */
  readonly waiting: number;
}

/**
 * The instances that are to run and do not exist, such as after a container was removed by hand. What has completed, was
 * given up or is on its way out need not be there. An instance that a command has not made yet is among them. Pure.
 */
export function missingInstances(
  { spec, components }: Pick<PipelineRecord, "spec" | "components">,
  observed: readonly ObservedResource[],
): readonly MissingInstance[] {
  const there = new Set(observed.flatMap((one) => (one.kind === "component" ? [`${one.owner}-${one.index}`] : [])));
  return (spec?.components ?? []).flatMap((component) => {
    const known = components.find(({ id }) => id === component.id)?.instances ?? [];
    const isOver = (id: string): boolean =>
      known.some(({ id: other, state, desiredStopped }) => other === id && (desiredStopped || OVER.has(state)));
    return instanceIdsOf(component)
      .filter((id) => !there.has(id) && !isOver(id))
      .map((id) => ({ id, component: component.id, waiting: waitingFor(component.id, components) }));
  });
}

const OVER: ReadonlySet<string> = new Set(["completed", "failed", "stopping"]);

function waitingFor(id: string, components: PipelineRecord["components"]): number {
  return components
    .flatMap(({ instances }) => instances)
    .reduce((sum, { metrics }) => sum + (metrics.waiting[id] ?? 0), 0);
}

/** Why it does not run, as far as that is known, for people. */
export function describeMissing({ waiting }: MissingInstance, driver: string): string {
  const waits = waiting === 0 ? "" : `; ${counted(waiting, "event")} ${waiting === 1 ? "waits" : "wait"} for it`;
  return `should run, but does not exist on ${driver}: it was removed, or never created${waits}`;
}
