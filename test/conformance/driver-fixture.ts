import type { Driver, ObservedResource } from "../../src/drivers/driver.ts";
import type { Component } from "../../src/pipeline/pipeline.ts";

/** What the conformance suite needs to know of a driver that it tests. */
export interface DriverFixture {
  /** A driver as a flowctl that was just started has it: without memory of what another one did. */
  connect(): Driver;
  /** Whether what it starts are programs, which say that they are up; else what is observed to run counts as up. */
  readonly runsPrograms: boolean;
  /** What a component with a `command` needs besides, such as an image. */
  readonly settings: Partial<Component>;
  /** Makes ready what all tests need. */
  setUp(): Promise<void>;
  /** Takes away what `setUp` made. */
  tearDown(): Promise<void>;
  /** Everything that exists of a pipeline, found without the driver: containers, networks, processes, folders. */
  leftovers(pipeline: string): Promise<readonly string[]>;
  /** Everything that an onlooker may read of an instance: its configuration, environment and arguments. */
  visible(observed: ObservedResource): Promise<string>;
  /** Kills the instance's program with SIGKILL, behind the driver's back. Never called where there are no programs. */
  crash(observed: ObservedResource): Promise<void>;
}
