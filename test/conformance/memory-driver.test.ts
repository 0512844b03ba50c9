import { MemoryDriver } from "../../src/drivers/memory-driver.fake.ts";
import { describeDriver } from "./driver.ts";
import type { DriverFixture } from "./driver-fixture.ts";
import { CRASHING } from "./driver-unchanged.ts";

const crashes = (owner: string): boolean => CRASHING.some((id) => id === owner);

/** The engine behind it is the driver itself. */
const driver = new MemoryDriver({
  startedState: ({ owner }) =>
    crashes(owner)
      ? { status: "restarting", exitCode: 3, restarts: 1 }
      : { status: "running", startedAt: 0, health: "healthy", restarts: 0 },
});

const fixture: DriverFixture = {
  connect: () => driver,
  runsPrograms: false,
  settings: {},
  setUp: async () => undefined,
  tearDown: async () => undefined,
  leftovers: async (pipeline) => [...(driver.state.get(pipeline)?.keys() ?? [])],
  visible: async (observed) => JSON.stringify(observed),
  crash: async () => undefined,
};

describeDriver("memory", fixture);
