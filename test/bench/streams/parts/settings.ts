/** What one program of a stream benchmark does. `stalled` is a sink that takes what comes and never finishes writing it. */
export type Role = "source" | "filter" | "map" | "sink" | "stalled";

/** What one program of a stream benchmark is told, by its environment. */
export interface Settings {
  readonly role: Role;
  readonly count: number;
  /** Bytes of payload. */
  readonly size: number;
  /** Events per second; 0: as fast as it goes. */
  readonly rate: number;
  /** `host:port` to listen on, and of the upstream: for the baselines, which have no registry. */
  readonly listen: string;
  readonly upstream: string;
  /** Events per message, for the baselines that batch. */
  readonly batch: number;
  /** How many programs take the output of this one. */
  readonly groups: number;
  /** The source encodes every event anew for each group, which asks for a type of its own: `typeOfGroup`. */
  readonly anew: boolean;
  /** The bare programs make the calls for each event that components make, and await what they return. */
  readonly awaited: boolean;
  /** The server in between, for the programs that have one; else empty. */
  readonly broker: "jetstream" | "redis" | "";
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
export const EVENT_TYPE = "bench.v1";

/** The type of the events that a source which encodes anew makes for one group, from 1. */
export function typeOfGroup(group: number): string {
  return `bench.group${group}.v1`;
}

export function portOf(address: string): number {
  return Number(address.slice(address.lastIndexOf(":") + 1));
}

export function hostOf(address: string): string {
  return address.slice(0, address.lastIndexOf(":"));
}

/** What a program says on its standard output, a line each, for who started it. */
export type Message = "UP" | "BEGUN" | "RESULT" | "SHORT" | "USED";

export function tell(message: Message, value: object = {}): void {
  process.stdout.write(`${message} ${JSON.stringify(value)}\n`);
}

/** More events than may be on the way: when so many have come everybody is connected. */
const ON_THE_WAY = 10_000;

/**
 * Counts at the sink: begins to measure after the first tenth, and in larger runs not before everybody has something to
 * do; reports when the last event is there.
 */
export class Meter {
  private readonly count: number;
  private readonly warmUp: number;
  private seen = 0;
  private begun = 0;
  private beginning = 0;
  private readonly latencies: number[] = [];

  /** @param count of events; a program that ends before it has seen so many says so. */
  constructor(count: number) {
    this.count = count;
    this.warmUp = Math.max(count / 10, Math.min(ON_THE_WAY, count / 3));
    process.on("exit", () => {
      if (this.seen < count) tell("SHORT", { seen: this.seen });
    });
  }

  add(events: number): void {
    this.seen += events;
    if (this.beginning === 0 && this.seen >= this.warmUp) {
      this.beginning = this.seen;
      this.begun = performance.now();
      tell("BEGUN");
    }
    if (this.seen >= this.count) this.report();
  }

  /** @param sentAt `process.hrtime.bigint()` at the source, which is one clock for all processes of a machine. */
  latency(sentAt: bigint): void {
    if (this.seen >= this.warmUp) this.latencies.push(Number(process.hrtime.bigint() - sentAt) / 1e6);
  }

  private report(): void {
    const seconds = (performance.now() - this.begun) / 1000;
    const sorted = this.latencies.toSorted((a, b) => a - b);
    const at = (share: number): number => sorted[Math.floor(sorted.length * share)] ?? 0;
    tell("RESULT", { perSecond: (this.seen - this.beginning) / seconds, p50: at(0.5), p99: at(0.99) });
  }
}

/**
 * The program says that it is up, and at its end how much memory it had at most, in MB, and how much processor time it
 * took, in seconds.
 */
export function reportUse(): void {
  process.on("exit", () => {
    const { maxRSS, userCPUTime, systemCPUTime } = process.resourceUsage();
    tell("USED", { memory: (maxRSS * 1024) / 1e6, seconds: (userCPUTime + systemCPUTime) / 1e6 });
  });
  tell("UP");
}
