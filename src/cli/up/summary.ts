import { relative } from "node:path";
import { type BuiltinCatalog, builtinKey } from "../../pipeline/catalog.ts";
import type { Pipeline } from "../../pipeline/pipeline.ts";
import type { PipelineRecord } from "../../protocol/records.ts";
import type { Output } from "../display/output.ts";
import { humanCount, humanDuration } from "../display/quantities.ts";
import { renderTable } from "../display/table.ts";

/** What a finished run did, as plain data. */
export interface RunSummary {
  readonly pipeline: string;
  readonly driver: string;
  readonly state: string;
  readonly durationMs: number;
  readonly components: readonly ComponentSummary[];
  readonly results: readonly SinkResult[];
}

/** A file or folder that a sink wrote to. */
export interface SinkResult {
  readonly component: string;
  readonly path: string;
  /** Whether everything is in it: the sink has completed. */
  readonly complete: boolean;
}

export interface ComponentSummary {
  readonly id: string;
  readonly type: string;
  readonly state: string;
  readonly instances: number;
  readonly eventsIn: number;
  readonly eventsOut: number;
  readonly eventsFiltered: number;
  readonly eventsDropped: number;
  readonly eventsFailed: number;
  readonly restarts: number;
}

export function summarize(
  pipeline: Pipeline,
  record: PipelineRecord,
  catalog: BuiltinCatalog,
  span: { readonly startedAt: number; readonly endedAt: number },
): RunSummary {
  const components = inFileOrder(pipeline, record).map((component) => {
    const { totals } = component;
    return {
      id: component.id,
      type: component.type,
      state: component.state,
      instances: component.instances.length,
      eventsIn: totals.eventsIn,
      eventsOut: totals.eventsOut,
      eventsFiltered: totals.eventsFiltered,
      eventsDropped: totals.eventsDropped,
      eventsFailed: totals.eventsFailed,
      restarts: component.instances.reduce((count, { restarts }) => count + restarts, 0),
    };
  });
  return {
    pipeline: pipeline.name,
    driver: record.driver,
    state: record.state,
    durationMs: span.endedAt - span.startedAt,
    components,
    results: resultsOf(pipeline, components, catalog),
  };
}

/** The paths that the settings of sinks say they write to, where they have completed or at least received anything. */
function resultsOf(
  pipeline: Pipeline,
  summaries: readonly ComponentSummary[],
  catalog: BuiltinCatalog,
): readonly SinkResult[] {
  return pipeline.components.flatMap((component) => {
    if (component.type !== "sink" || component.uses === undefined) return [];
    const summary = summaries.find(({ id }) => id === component.id);
    const complete = summary?.state === "completed";
    if (!complete && (summary?.eventsIn ?? 0) === 0) return [];
    const paths = catalog.get(builtinKey(component.type, component.uses))?.paths ?? {};
    return Object.entries(paths).flatMap(([key, access]) => {
      const value = key.split(".").reduce<unknown>(property, component.with);
      return access === "write" && typeof value === "string"
        ? [{ component: component.id, path: value, complete }]
        : [];
    });
  });
}

/** The summary for people: a table of components, how long it took, and where the results are. */
export function renderSummary(summary: RunSummary, output: Output, cwd: string): string {
  const dash = (count: number): string => (count === 0 ? output.paint.dim("-") : humanCount(count));
  const table = renderTable(
    [
      { title: "COMPONENT", value: ({ id }) => id },
      { title: "TYPE", rank: 5, value: ({ type }) => type },
      { title: "STATE", value: ({ state }) => state },
      {
        title: "IN",
        align: "right",
        value: ({ type, eventsIn }) => (type === "source" ? dash(0) : humanCount(eventsIn)),
      },
      {
        title: "OUT",
        align: "right",
        value: ({ type, eventsOut }) => (type === "sink" ? dash(0) : humanCount(eventsOut)),
      },
      { title: "FILTERED", align: "right", rank: 4, value: ({ eventsFiltered }) => dash(eventsFiltered) },
      { title: "DROPPED", align: "right", rank: 3, value: ({ eventsDropped }) => dash(eventsDropped) },
      { title: "FAILED", align: "right", rank: 2, value: ({ eventsFailed }) => dash(eventsFailed) },
      { title: "RESTARTS", align: "right", rank: 1, value: ({ restarts }) => dash(restarts) },
    ],
    summary.components,
    output,
  );
  const lines = ["", table, ""];
  lines.push(
    `${output.paint.bold(summary.pipeline)} ${summary.state} in ${humanDuration(summary.durationMs)} on ${summary.driver}`,
  );
  for (const { component, path, complete } of summary.results) {
    const near = relative(cwd, path);
    const shown = near === "" || near.startsWith("..") ? path : near;
    const failed = summary.components.find(({ id }) => id === component)?.state === "failed";
    const ended = failed ? "failed" : "did not finish";
    lines.push(complete ? `${component} wrote ${shown}` : `${component} ${ended}: ${shown} may be incomplete`);
  }
  return lines.join("\n");
}

function inFileOrder(pipeline: Pipeline, record: PipelineRecord): PipelineRecord["components"] {
  const rank = new Map(pipeline.components.map(({ id }, i) => [id, i]));
  return [...record.components].sort((a, b) => (rank.get(a.id) ?? 0) - (rank.get(b.id) ?? 0));
}

function property(value: unknown, key: string): unknown {
  return typeof value === "object" && value !== null ? (value as Record<string, unknown>)[key] : undefined;
}
