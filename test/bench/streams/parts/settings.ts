/** What one program of a stream benchmark is told, by its environment. */
export interface Settings {
  readonly role: "source" | "filter" | "map" | "sink";
  readonly count: number;
  /** Bytes of payload. */
  readonly size: number;
  /** Events per second; 0: as fast as it goes. */
  readonly rate: number;
  /** Port to listen on, and the port of the upstream. */
  readonly port: number;
  readonly upstream: number;
  /** Events per message, for the baselines that batch. */
  readonly batch: number;
}

export function readSettings(): Settings {
  return JSON.parse(process.env.BENCH ?? "{}") as Settings;
}

/** Payload of exactly `size` bytes: a JSON object, so that a map can parse it. */
export function makePayload(size: number): string {
  const start = '{"magnitude":4.5,"place":"somewhere","padding":"';
  return `${start}${"x".repeat(Math.max(0, size - start.length - 2))}"}`;
}

export const METADATA = { region: "eu" };

/** Counts at the sink: begins to measure after the first tenth, and reports when the last event is there. */
export class Meter {
  private readonly count: number;
  private seen = 0;
  private begun = 0;
  private beginning = 0;
  private readonly latencies: number[] = [];

  constructor(count: number) {
    this.count = count;
  }

  add(events: number): void {
    this.seen += events;
    if (this.beginning === 0 && this.seen >= this.count / 10) {
      this.beginning = this.seen;
      this.begun = performance.now();
    }
    if (this.seen >= this.count) this.report();
  }

  /** @param sentAt `process.hrtime.bigint()` at the source, which is one clock for all processes of a machine. */
  latency(sentAt: bigint): void {
    if (this.seen >= this.count / 10) this.latencies.push(Number(process.hrtime.bigint() - sentAt) / 1e6);
  }

  private report(): void {
    const seconds = (performance.now() - this.begun) / 1000;
    const sorted = this.latencies.toSorted((a, b) => a - b);
    const at = (share: number): number => sorted[Math.floor(sorted.length * share)] ?? 0;
    const result = { perSecond: (this.seen - this.beginning) / seconds, p50: at(0.5), p99: at(0.99) };
    process.stdout.write(`RESULT ${JSON.stringify(result)}\n`);
  }
}

/** At its end the program says how much memory it had at most, in MiB, and how much processor time it took, in seconds. */
export function reportUse(): void {
  process.on("exit", () => {
    const { maxRSS, userCPUTime, systemCPUTime } = process.resourceUsage();
    process.stdout.write(
      `USED ${JSON.stringify({ memory: maxRSS / 1024, seconds: (userCPUTime + systemCPUTime) / 1e6 })}\n`,
    );
  });
  process.on("SIGTERM", () => process.exit(0));
}
