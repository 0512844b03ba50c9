import { afterAll, beforeAll, describe } from "vitest";
import { describeContract } from "./driver-contract.ts";
import { describeCrash } from "./driver-crash.ts";
import type { DriverFixture } from "./driver-fixture.ts";
import { describeLogs } from "./driver-logs.ts";
import { describePrograms } from "./driver-programs.ts";
import { describeProject } from "./driver-project.ts";
import { describeScaling } from "./driver-scaling.ts";
import { describeUnchanged } from "./driver-unchanged.ts";

/**
 * What every driver has to do, tested against the real engine behind it. `fixtureModule` is the URL of a module that
 * exports `fixture`, so that a second process can be made that has the same driver. It is left out for a driver that
 * starts no programs, as the one in memory: what is about their environment, secrets, exits and logs, and about a
 * flowctl that is killed, is left out with it.
 */
export function describeDriver(name: string, fixture: DriverFixture, fixtureModule?: string): void {
  describe(`the ${name} driver`, () => {
    beforeAll(() => fixture.setUp());
    afterAll(() => fixture.tearDown());

    describeContract(fixture);
    describe("scaling", () => describeScaling(fixture));
    describe("changing what has not changed", () => describeUnchanged(fixture));
    describe("a pipeline and its folder", () => describeProject(fixture));
    if (fixtureModule === undefined) return;
    describePrograms(fixture);
    describe("logs", () => describeLogs(fixture));
    describe("after a crash of flowctl", () => describeCrash(fixture, fixtureModule));
  });
}
