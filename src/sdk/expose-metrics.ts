import prometheus from "prom-client";
import type { InstanceMetrics } from "../protocol/records.ts";
import type { InstanceInfo } from "./component.ts";

const COUNTERS = [
  ["eventsIn", "flowctl_events_in_total", "Events received"],
  ["eventsOut", "flowctl_events_out_total", "Events sent"],
  ["bytesIn", "flowctl_bytes_in_total", "Encoded bytes received"],
  ["bytesOut", "flowctl_bytes_out_total", "Encoded bytes sent"],
  ["eventsDropped", "flowctl_events_dropped_total", "Events dropped by on_error or by a full buffer"],
  ["eventsFiltered", "flowctl_events_filtered_total", "Events that produced no output"],
  ["eventsFailed", "flowctl_events_failed_total", "Events that failed"],
  ["deadLetters", "flowctl_dead_letters_total", "Events sent to the dead-letter sink"],
  ["retries", "flowctl_retries_total", "Retries of failed events"],
] as const;

/** The counters of one instance in Prometheus' text format. */
export async function exposeMetrics(
  instance: InstanceInfo,
  metrics: InstanceMetrics,
): Promise<{ readonly contentType: string; readonly text: string }> {
  const { Counter, Gauge, Registry } = prometheus;
  const registry = new Registry();
  registry.setDefaultLabels({
    pipeline: instance.pipeline,
    component: instance.componentId,
    instance: instance.instanceId,
  });
  const registers = [registry];
  for (const [key, name, help] of COUNTERS) new Counter({ name, help, registers }).inc(metrics[key]);
  new Gauge({ name: "flowctl_in_flight", help: "Events received or produced and not yet acknowledged", registers }).set(
    metrics.inFlight,
  );
  new Gauge({
    name: "flowctl_backpressure_ratio",
    help: "Share of time that the output waited for credit",
    registers,
  }).set(metrics.backpressure);
  const waiting = new Gauge({
    name: "flowctl_waiting",
    help: "Events queued for a downstream group",
    labelNames: ["group"],
    registers,
  });
  for (const [group, count] of Object.entries(metrics.waiting)) waiting.set({ group }, count);
  return { contentType: registry.contentType, text: await registry.metrics() };
}
