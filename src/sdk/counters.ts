import type { InstanceMetrics } from "../protocol/records.ts";
import type { Inlet } from "../streams/receiving/inlet.ts";
import type { Outlet } from "../streams/sending/outlet.ts";

/** What a component has done since it started. Counted where it happens; read by heartbeats, health and the last word. */
export class Counters {
  dropped = 0;
  filtered = 0;
  failed = 0;
  deadLetters = 0;
  retries = 0;
  private readonly publisher: Outlet;
  private readonly inlet: Inlet | undefined;
  private blockedSamples = 0;
  private samples = 0;

  constructor(publisher: Outlet, inlet: Inlet | undefined) {
    this.publisher = publisher;
    this.inlet = inlet;
  }

  /** Looks once whether output is held up for want of credit; the share of such looks is the backpressure. */
  sample(): void {
    this.samples++;
    if (this.publisher.counters().blocked) this.blockedSamples++;
  }

  /** @param renew Start a new period for the backpressure share. */
  metrics(renew = false): InstanceMetrics {
    const out = this.publisher.counters();
    const incoming = this.inlet?.counters() ?? { eventsIn: 0, bytesIn: 0, inFlight: 0 };
    const backpressure = this.samples === 0 ? 0 : this.blockedSamples / this.samples;
    if (renew) {
      this.samples = 0;
      this.blockedSamples = 0;
    }
    return {
      eventsIn: incoming.eventsIn,
      eventsOut: out.eventsOut,
      bytesIn: incoming.bytesIn,
      bytesOut: out.bytesOut,
      eventsDropped: this.dropped + out.dropped,
      eventsFiltered: this.filtered,
      eventsFailed: this.failed,
      inFlight: this.inlet === undefined ? out.inFlight : incoming.inFlight,
      deadLetters: this.deadLetters,
      retries: this.retries,
      waiting: out.waiting,
      backpressure,
    };
  }
}
