import type { Driver } from "../../drivers/driver.ts";
import type { Clock } from "../../foundation/clock.ts";
import type { Logger } from "../../foundation/logger.ts";
import type { InstanceReport } from "../../protocol/records.ts";
import type { Registry } from "../registry.ts";

/** What the supervisor needs of a driver. */
export type SupervisedDriver = Pick<Driver, "events" | "apply" | "observe" | "capabilities">;

export interface SupervisorOptions {
  readonly driver: SupervisedDriver;
  readonly registry: Registry;
  readonly clock: Clock;
  readonly log: Logger;
  readonly report: (report: InstanceReport, at: number) => void;
  readonly unhealthyAfterMs: number;
}

export async function supervise(_options: SupervisorOptions, _signal: AbortSignal): Promise<void> {}
