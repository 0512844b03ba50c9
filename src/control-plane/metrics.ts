import { Counter, Gauge, Registry as PrometheusRegistry } from "prom-client";
import type { InstanceMetrics, PipelineRecord } from "../protocol/records.ts";
import { instanceTransitions, pipelineTransitions } from "./states.ts";

/** What a scrape gives. */
export interface ControlPlaneMetrics {
  readonly contentType: string;
  /** The pipeline's and every instance's figures as of now, in the Prometheus text format. */
  render(): Promise<string>;
}

type TotalKey = Exclude<keyof InstanceMetrics, "waiting" | "backpressure" | "inFlight">;

const totals: readonly (readonly [TotalKey, name: string, help: string])[] = [
  ["eventsIn", "events_in", "Events received since the program started"],
  ["eventsOut", "events_out", "Events sent since the program started, once per event"],
  ["bytesIn", "bytes_in", "Bytes of events received"],
  ["bytesOut", "bytes_out", "Bytes of events sent"],
  ["eventsDropped", "events_dropped", "Events dropped by on_error or a full buffer"],
  ["eventsFiltered", "events_filtered", "Events that produced no output"],
  ["eventsFailed", "events_failed", "Events that failed"],
  ["deadLetters", "dead_letters", "Events sent to a dead-letter sink"],
  ["retries", "retries", "Retries of failed events"],
];

/** `pipeline` gives the record at the time of a scrape; the figures are as of each instance's last heartbeat. */
export function createMetrics(pipeline: () => PipelineRecord): ControlPlaneMetrics {
  const registry = new PrometheusRegistry();
  const registers = [registry];
  const labelNames = ["component", "instance"] as const;
  const counters = totals.map(
    ([key, name, help]) =>
      [key, new Counter({ name: `flowctl_instance_${name}_total`, help, labelNames, registers })] as const,
  );
  const gauge = <T extends string>(name: string, help: string, names: readonly T[]): Gauge<T> =>
    new Gauge({ name: `flowctl_${name}`, help, labelNames: names, registers });
  const inFlight = gauge("instance_in_flight", "Events received or produced and not yet acknowledged", labelNames);
  const waiting = gauge("instance_waiting", "Events queued for a downstream group", [...labelNames, "group"]);
  const backpressure = gauge("instance_backpressure_ratio", "Share of time without credit, from 0 to 1", labelNames);
  const heartbeat = gauge("instance_last_heartbeat_seconds", "Unix time of the last heartbeat", labelNames);
  const restarts = gauge("instance_restarts", "Restarts since the pipeline was started", labelNames);
  const state = gauge("instance_state", "1 for the current state of the instance", [...labelNames, "state"]);
  const desired = gauge("component_desired_instances", "Desired number of instances of a component", ["component"]);
  const pipelineState = gauge("pipeline_state", "1 for the current state of the pipeline", ["state"]);
  const startedAt = gauge("pipeline_started_at_seconds", "Unix time of the pipeline start", []);
  const memory = new Gauge({ name: "process_resident_memory_bytes", help: "Resident memory", registers });
  const cpu = new Counter({ name: "process_cpu_seconds_total", help: "User and system CPU time", registers });

  const collect = (): void => {
    registry.resetMetrics();
    const record = pipeline();
    for (const name of Object.keys(pipelineTransitions)) pipelineState.set({ state: name }, +(name === record.state));
    startedAt.set(record.startedAt / 1000);
    memory.set(process.memoryUsage.rss());
    const { user, system } = process.cpuUsage();
    cpu.inc((user + system) / 1_000_000);
    for (const component of record.components) {
      desired.set({ component: component.id }, component.desiredInstances);
      for (const instance of component.instances) {
        const labels = { component: component.id, instance: instance.id };
        const { metrics } = instance;
        for (const [key, counter] of counters) counter.inc(labels, metrics[key]);
        inFlight.set(labels, metrics.inFlight);
        backpressure.set(labels, metrics.backpressure);
        for (const [group, count] of Object.entries(metrics.waiting)) waiting.set({ ...labels, group }, count);
        heartbeat.set(labels, instance.lastHeartbeat / 1000);
        restarts.set(labels, instance.restarts);
        for (const name of Object.keys(instanceTransitions)) {
          state.set({ ...labels, state: name }, +(name === instance.state));
        }
      }
    }
  };
  return {
    contentType: registry.contentType,
    render: () => {
      collect();
      return registry.metrics();
    },
  };
}
