import type { ProgressSink } from "../../drivers/driver.ts";

/** Shows progress events. `stop` has to be called before anything else is written; afterwards events are ignored. */
export interface ProgressRenderer {
  readonly sink: ProgressSink;
  stop(): void;
}
