import type { Driver, ObservedResource } from "../../drivers/driver.ts";
import { FlowctlError } from "../../foundation/errors.ts";
import type { Component, Pipeline } from "../../pipeline/pipeline.ts";
import type { PipelineRecord } from "../../protocol/records.ts";
import type { CommandContext } from "../command.ts";
import type { ControlPlaneAccess } from "../control-plane-access.ts";
import { pipelineSpec } from "../pipeline-spec.ts";

/**
 * The pipeline of the file with the numbers of instances that it runs with, and what earlier replays left in it. Rejects when a replay cannot work: the file
 * says another topology than what runs, or another replay is under way.
 */
export async function runningPipeline(
  context: CommandContext,
  pipeline: Pipeline,
  driver: Driver,
  access: ControlPlaneAccess,
): Promise<{ readonly pipeline: Pipeline; readonly replays: ReadonlySet<string> }> {
  const record = await access.call(context.signal, (client, signal) => client.getPipeline(signal));
  const observed = await driver.observe(pipeline.name, context.signal);
  const replays = replaysOf(record);
  refuseOtherReplay(observed, replays);
  refuseDifference(pipeline, record, driver.name);
  const replicas = new Map(record.components.map(({ id, desiredInstances }) => [id, desiredInstances]));
  const components = pipeline.components.map((one) => ({ ...one, replicas: replicas.get(one.id) ?? one.replicas }));
  return { pipeline: { ...pipeline, components }, replays };
}

/** The ids of the sources that replays have put into a pipeline, and perhaps left there. */
export function replaysOf(record: PipelineRecord): ReadonlySet<string> {
  return new Set(record.components.filter(({ temporary }) => temporary).map(({ id }) => id));
}

/** The component that letters name, which has to be in the file, to take events, and to run. */
export function targetOf(pipeline: Pipeline, id: string, observed: readonly ObservedResource[]): Component {
  const component = pipeline.components.find((one) => one.id === id);
  if (component === undefined || component.type === "source") {
    throw new FlowctlError({
      code: "cli/cannot-replay",
      kind: "not-found",
      message:
        component === undefined
          ? `The letters are of the component ${id}, which ${pipeline.name} does not have any more`
          : `The letters are of the source ${id}: nothing can be sent to a source`,
      fix: "Read the file with the source `dead-letters` in a pipeline of its own, or choose others with --component",
    });
  }
  const runs = observed.some(({ kind, owner, state }) => kind === "component" && owner === id && isUp(state));
  if (runs) return component;
  throw new FlowctlError({
    code: "cli/component-not-running",
    kind: "conflict",
    message: `${id}, the target of the replay, is not running`,
    fix: `Start it with \`flowctl start -p ${pipeline.name} ${id}\``,
  });
}

/** One that is just being started again after a crash takes the events later. */
export function isUp({ status }: ObservedResource["state"]): boolean {
  return status === "running" || status === "restarting";
}

function refuseOtherReplay(observed: readonly ObservedResource[], replays: ReadonlySet<string>): void {
  const other = observed.find(({ kind, owner, state }) => kind === "component" && replays.has(owner) && isUp(state));
  if (other === undefined) return;
  throw new FlowctlError({
    code: "cli/replay-under-way",
    kind: "conflict",
    message: `Another replay is running, or was left behind: ${other.owner}`,
    fix: "Retry when it has finished; if it was left behind, `flowctl up -d` removes it",
  });
}

/** A replay tells the control plane the topology of the file: it must not slip in changes that nobody asked for. */
function refuseDifference(pipeline: Pipeline, record: PipelineRecord, driver: string): void {
  const { components } = pipelineSpec(pipeline, driver);
  const wanted = new Map(
    components.map(({ id, inputs }) => {
      const letters = components.filter(({ onError }) => onError.to === id).map((one) => one.id);
      return [id, sorted([...inputs.map(({ from }) => from), ...letters])];
    }),
  );
  const replays = replaysOf(record);
  const known = Object.entries(record.topology).filter(([id]) => !replays.has(id));
  const same =
    known.length === wanted.size &&
    known.every(([id, { upstream }]) => wanted.get(id) === sorted(upstream.filter((from) => !replays.has(from))));
  if (same) return;
  throw new FlowctlError({
    code: "cli/pipeline-differs",
    kind: "conflict",
    message: `${pipeline.name} is running with other components or connections than its file declares`,
    fix: `Run \`flowctl up -d -p ${pipeline.name}\` to apply the file, then replay again`,
  });
}

function sorted(ids: readonly string[]): string {
  return [...new Set(ids)].sort().join(" ");
}
