import fc from "fast-check";
import { Counter, Gauge, Registry } from "prom-client";
import { describe, expect, it } from "vitest";
import type { InstanceMetrics } from "../protocol/records.ts";
import { exposeMetrics } from "./expose-metrics.ts";

const count = fc.nat();
const anyMetrics = fc.record<InstanceMetrics>({
  ...{ eventsIn: count, eventsOut: count, bytesIn: fc.maxSafeNat(), bytesOut: fc.maxSafeNat(), eventsDropped: count },
  ...{ eventsFiltered: count, eventsFailed: count, inFlight: count, deadLetters: count, retries: count },
  waiting: fc.dictionary(fc.constantFrom("archive", "alerts", "to-disk"), count),
  backpressure: fc.double({ min: 0, max: 1, noNaN: true }).map(Math.abs),
});
/** With much that has to be escaped. */
const anyLabel = fc.string({ unit: fc.constantFrom("\\", '"', "\n", "n", "a-1", "ü"), minLength: 1 });
const anyInstance = fc.record({
  ...{ pipeline: anyLabel, componentId: anyLabel, instanceId: anyLabel },
  ...{ index: fc.constant(1), replicas: fc.constant(1) },
});

/** The same metrics by Prometheus' own client library. */
function byClientLibrary(labels: Readonly<Record<string, string>>, of: InstanceMetrics): Registry {
  const registry = new Registry();
  const registers = [registry];
  registry.setDefaultLabels(labels);
  const counter = (name: string, help: string, value: number) => new Counter({ name, help, registers }).inc(value);
  const gauge = (name: string, help: string, value: number) => new Gauge({ name, help, registers }).set(value);
  counter("flowctl_events_in_total", "Events received", of.eventsIn);
  counter("flowctl_events_out_total", "Events handed on", of.eventsOut);
  counter("flowctl_bytes_in_total", "Encoded bytes received", of.bytesIn);
  counter("flowctl_bytes_out_total", "Encoded bytes handed on", of.bytesOut);
  counter("flowctl_events_dropped_total", "Events dropped by on_error or by a full buffer", of.eventsDropped);
  counter("flowctl_events_filtered_total", "Events of which nothing was made", of.eventsFiltered);
  counter("flowctl_events_failed_total", "Events that could not be processed", of.eventsFailed);
  counter("flowctl_dead_letters_total", "Events handed to the dead-letter sink", of.deadLetters);
  counter("flowctl_retries_total", "Attempts after the first", of.retries);
  gauge("flowctl_in_flight", "Events received or produced and not acknowledged", of.inFlight);
  gauge("flowctl_backpressure_ratio", "Share of time that output waited for credit", of.backpressure);
  const help = "Events waiting for a group below";
  const waiting = new Gauge({ name: "flowctl_waiting", help, labelNames: ["group"], registers });
  for (const [group, value] of Object.entries(of.waiting)) waiting.set({ group }, value);
  return registry;
}

describe("the metrics of a component", () => {
  it("are written as Prometheus' own client library writes them, whatever the labels and the values", async () => {
    await fc.assert(
      fc.asyncProperty(anyInstance, anyMetrics, async (instance, metrics) => {
        const { pipeline, componentId: component, instanceId } = instance;
        const registry = byClientLibrary({ pipeline, component, instance: instanceId }, metrics);
        expect(exposeMetrics(instance, metrics)).toEqual({
          contentType: registry.contentType,
          text: await registry.metrics(),
        });
      }),
    );
  });
});
