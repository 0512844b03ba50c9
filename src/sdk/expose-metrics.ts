import type { InstanceMetrics } from "../protocol/records.ts";
import type { InstanceInfo } from "./component.ts";

const COUNTERS = [
  ["eventsIn", "flowctl_events_in_total", "Events received"],
  ["eventsOut", "flowctl_events_out_total", "Events handed on"],
  ["bytesIn", "flowctl_bytes_in_total", "Encoded bytes received"],
  ["bytesOut", "flowctl_bytes_out_total", "Encoded bytes handed on"],
  ["eventsDropped", "flowctl_events_dropped_total", "Events dropped by on_error or by a full buffer"],
  ["eventsFiltered", "flowctl_events_filtered_total", "Events of which nothing was made"],
  ["eventsFailed", "flowctl_events_failed_total", "Events that could not be processed"],
  ["deadLetters", "flowctl_dead_letters_total", "Events handed to the dead-letter sink"],
  ["retries", "flowctl_retries_total", "Attempts after the first"],
] as const;

const GAUGES = [
  ["inFlight", "flowctl_in_flight", "Events received or produced and not acknowledged"],
  ["backpressure", "flowctl_backpressure_ratio", "Share of time that output waited for credit"],
] as const;

type Labels = Readonly<Record<string, string>>;

/** The counters of one instance in Prometheus' text format, version 0.0.4. */
export function exposeMetrics(
  instance: InstanceInfo,
  metrics: InstanceMetrics,
): { readonly contentType: string; readonly text: string } {
  const labels: Labels = {
    pipeline: instance.pipeline,
    component: instance.componentId,
    instance: instance.instanceId,
  };
  const waiting = Object.entries(metrics.waiting).map(([group, count]) => [{ group, ...labels }, count] as const);
  const families = [
    ...COUNTERS.map(([key, name, help]) => family(name, "counter", help, [[labels, metrics[key]]])),
    ...GAUGES.map(([key, name, help]) => family(name, "gauge", help, [[labels, metrics[key]]])),
    family("flowctl_waiting", "gauge", "Events waiting for a group below", waiting),
  ];
  return { contentType: "text/plain; version=0.0.4; charset=utf-8", text: families.join("\n") };
}

/** One metric with its samples, each on a line. */
function family(
  name: string,
  type: "counter" | "gauge",
  help: string,
  samples: readonly (readonly [labels: Labels, value: number])[],
): string {
  const lines = samples.map(([labels, value]) => {
    const pairs = Object.entries(labels).map(([label, text]) => `${label}="${escapeLabel(text)}"`);
    return `${name}{${pairs.join(",")}} ${value}\n`;
  });
  return `# HELP ${name} ${help}\n# TYPE ${name} ${type}\n${lines.join("")}`;
}

function escapeLabel(text: string): string {
  return text.replaceAll("\\", "\\\\").replaceAll("\n", "\\n").replaceAll('"', '\\"');
}
