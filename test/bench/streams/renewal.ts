import type { Row } from "../results-table.ts";
import { interleave } from "../samples.ts";
import { type StreamBench, scaled, streaming } from "./contender.ts";
import { linear } from "./plans.ts";
import { Programs } from "./programs.ts";
import { runParts } from "./run-parts.ts";

/** Certificates that are good for so long are renewed every three seconds, and not every eight hours. */
const CERTIFICATE_SECONDS = 10;
/** Events per second of the runs that measure latency, and how many seconds they last: see measureLatency. */
const RATE = 10_000;
const SECONDS = 12;

/**
 * Source → filter → sink under mutual TLS whose three programs renew their certificates all the time, against programs that renew nothing meanwhile:
 * at full speed, and the latency at a steady rate. A run in which an event is lost fails.
 */
export async function measureRenewal({ rounds, scale }: StreamBench): Promise<readonly Row[]> {
  return await Programs.with(async (programs) => {
    const common = { program: "flowctl", plan: linear("filter"), identity: true } as const;
    const renewing = { ...common, certificateSeconds: CERTIFICATE_SECONDS };
    const fast = { size: 180, count: scaled(4_000_000, scale) };
    const [renewed, kept] = await interleave(
      [
        streaming(programs, "renewing", { ...renewing, ...fast }),
        streaming(programs, "not renewing", { ...common, ...fast }),
      ],
      rounds,
    );
    const p99 = (name: string, options: typeof common) => ({
      name,
      run: async () => {
        const steady = { size: 0, count: Math.ceil(RATE * SECONDS * scale), rate: RATE };
        return (await runParts(programs, { ...options, ...steady })).sinks.sink!.p99;
      },
    });
    const [late, usual] = await interleave([p99("renewing", renewing), p99("not renewing", common)], rounds);
    return [
      { what: "filter, 180 B", unit: "events/s", measured: renewed!, baseline: kept! },
      { what: "99th percentile", unit: "ms", measured: late!, baseline: usual!, goal: { atMost: 2 } },
    ];
  });
}
