import type { Clock } from "../foundation/clock.ts";
import { FlowctlError } from "../foundation/errors.ts";
import type { HealthProbe } from "./health-probe.ts";
import type { InstanceEntry } from "./instance.ts";
import type { Registry } from "./registry.ts";

export interface HealthMonitorOptions {
  readonly registry: Registry;
  readonly probe: HealthProbe;
  readonly clock: Clock;
  /** Between two polls of one instance's /health, give or take a tenth. */
  readonly pollIntervalMs: number;
  /** Source of randomness in [0, 1); default Math.random. */
  readonly random?: () => number;
}

/** How often silence is looked for. */
const tickMs = 1000;
/** A starting instance is polled more often, so that it is seen to be healthy as soon as it is. */
const startingPollMs = 250;
/** So many of the fast polls; what takes longer to start waits for the slow ones. */
const fastPolls = 40;

/**
 * Watches the health of every registered instance until the signal fires: polls its /health, and marks it unhealthy when
 * its heartbeats stay away. Each instance is polled on its own, so one that hangs delays no other. Resolves when all has
 * ended.
 */
export async function monitorHealth(options: HealthMonitorOptions, signal: AbortSignal): Promise<void> {
  await Promise.all([followInstances(options, signal), watchSilence(options, signal)].map(untilCancelled));
}

async function watchSilence({ registry, clock }: HealthMonitorOptions, signal: AbortSignal): Promise<void> {
  let last = clock.elapsed();
  for (;;) {
    await clock.sleep(tickMs, signal);
    const now = clock.elapsed();
    const lost = now - last - tickMs;
    // A suspended or starved control plane has not listened either.
    if (lost > 5 * tickMs) registry.excuse(lost);
    registry.assessAll();
    last = now;
  }
}

async function followInstances(options: HealthMonitorOptions, signal: AbortSignal): Promise<void> {
  const { registry } = options;
  const polls = new Map<string, AbortController>();
  try {
    for (;;) {
      const seen = registry.changes.version;
      const wanted = new Map(
        registry
          .entries()
          .filter(isPolled)
          .map((entry) => [pollKey(entry), entry]),
      );
      for (const [key, poll] of polls) {
        if (wanted.has(key)) continue;
        poll.abort();
        polls.delete(key);
      }
      for (const [key, entry] of wanted) {
        if (polls.has(key)) continue;
        const poll = new AbortController();
        polls.set(key, poll);
        void untilCancelled(pollInstance(options, entry, poll.signal));
      }
      await registry.changes.changed(seen, signal);
    }
  } finally {
    for (const poll of polls.values()) poll.abort();
  }
}

async function pollInstance(options: HealthMonitorOptions, entry: InstanceEntry, signal: AbortSignal): Promise<void> {
  const { registry, probe, clock, pollIntervalMs, random = Math.random } = options;
  const { componentId, id, incarnation, healthEndpoint } = entry.data;
  let failures = 0;
  for (let round = 0; ; round++) {
    const answer = await probe(healthEndpoint, signal);
    if (signal.aborted) return;
    failures = answer.result === "passing" ? 0 : failures + 1;
    const detail = answer.result === "passing" ? "" : answer.detail;
    registry.probed(componentId, id, incarnation, { result: answer.result, failures, detail });
    const fast =
      answer.result !== "passing" &&
      round < fastPolls &&
      registry.entry(componentId, id)?.data.state.name === "starting";
    await clock.sleep(fast ? startingPollMs : pollIntervalMs * (0.9 + 0.2 * random()), signal);
  }
}

function isPolled({ data }: InstanceEntry): boolean {
  return data.live && data.healthEndpoint !== "" && data.state.name !== "completed" && data.state.name !== "failed";
}

function pollKey({ data }: InstanceEntry): string {
  return [data.componentId, data.id, data.incarnation, data.healthEndpoint].join(" ");
}

async function untilCancelled(work: Promise<void>): Promise<void> {
  try {
    await work;
  } catch (error) {
    if (!(error instanceof FlowctlError && error.kind === "cancelled")) throw error;
  }
}
