import { describe, expect, it } from "vitest";
import { MemoryDriver } from "../../drivers/memory-driver.fake.ts";
import { FlowctlError } from "../../foundation/errors.ts";
import { CliHarness } from "../cli-harness.fake.ts";

const file = (environment: string): string => `
name: demo
sources: { numbers: { uses: generator } }
processors: { even: { uses: filter, inputs: [numbers], with: { where: "true" }, environment: { MODE: "${environment}" } } }
sinks: { out: { uses: discard, inputs: [even] } }
`;

interface World {
  readonly cli: CliHarness;
  readonly driver: MemoryDriver;
  /** What happens when the changed component is replaced, the first time. */
  breaks: () => void;
}

async function world(): Promise<World> {
  let count = 0;
  const driver: MemoryDriver = new MemoryDriver({
    onApply: ({ action }) => {
      if (action !== "replace") return;
      count++;
      if (count === 1) made.breaks();
      else {
        made.cli.controlPlane.state = "running";
        made.cli.controlPlane.instanceStates.clear();
      }
    },
  });
  const cli = await CliHarness.create({ "flowctl.yaml": file("good") }, [driver]);
  cli.speed = 10;
  const made: World = { cli, driver, breaks: () => fails(made) };
  expect((await cli.run("up", "--wait")).code).toBe(0);
  await cli.write("flowctl.yaml", file("bad"));
  driver.applied.length = 0;
  return made;
}

function fails({ cli }: World): void {
  cli.controlPlane.state = "failed";
  cli.controlPlane.instanceStates.set("even-1", { state: "failed", reason: "exited with code 3" });
}

describe("up --wait of a change that does not work", () => {
  it("puts back what ran before, and ends with the code and the reason of the failure", async () => {
    const { cli, driver } = await world();
    await using _ = cli;
    const { code, stderr } = await cli.run("up", "--wait");
    expect(code).toBe(1);
    expect(driver.applied).toEqual(["replace component/even-1", "replace component/even-1"]);
    expect(stderr).toContain("even-1 is failed: exited with code 3");
    expect(stderr).toContain(
      "demo failed: even-1 exited with code 3. Rolled back to the previous version, which is healthy\n",
    );
    expect(stderr).toContain("code cli/rolled-back");
    await cli.write("flowctl.yaml", file("good"));
    expect((await cli.run("up", "--dry-run")).stdout).toContain("demo: nothing to do");
  });

  it("does so as well when a step fails, and tells machines", async () => {
    const made = await world();
    await using cli = made.cli;
    made.breaks = () => {
      throw new FlowctlError({ code: "docker/port-taken", kind: "conflict", message: "the port is taken" });
    };
    const { code, stderr } = await cli.run("up", "--wait", "--json");
    expect(code).toBe(6);
    expect(JSON.parse(stderr)).toMatchObject({
      error: {
        code: "cli/rolled-back",
        kind: "conflict",
        message: expect.stringMatching(
          /^the port is taken. Nothing had to be rolled back: the previous version is healthy/,
        ),
      },
    });
  });

  it("leaves it with --no-rollback", async () => {
    const { cli, driver } = await world();
    await using _ = cli;
    const { code, stderr } = await cli.run("up", "--wait", "--no-rollback");
    expect([code, driver.applied]).toEqual([1, ["replace component/even-1"]]);
    expect(stderr).toContain("code cli/pipeline-failed");
  });

  it("leaves what another command has changed meanwhile", async () => {
    const made = await world();
    await using cli = made.cli;
    made.breaks = () => {
      fails(made);
      // As soon as this command has carried out its own.
      const keep = cli.controlPlane;
      let kept = keep.kept;
      Object.defineProperty(keep, "kept", {
        get: () => kept,
        set: (given: typeof kept) => {
          kept = { ...given, latest: new Uint8Array([1]) };
        },
      });
    };
    const { stderr } = await cli.run("up", "--wait");
    expect(stderr).toContain("The rollback failed: another command has changed the pipeline in the meantime");
    expect(stderr).toContain("code cli/not-rolled-back");
    expect(made.driver.applied).toEqual(["replace component/even-1"]);
  });

  it("knows its own change again where it failed before the control plane had said that it keeps that", async () => {
    const { cli } = await world();
    await using _ = cli;
    cli.controlPlane.answerKeep = (signal) => {
      cli.controlPlane.answerKeep = undefined;
      const cancelled = new FlowctlError({ code: "client/cancelled", kind: "cancelled", message: "nobody waits" });
      return new Promise((_, reject) => signal.addEventListener("abort", () => reject(cancelled), { once: true }));
    };
    const { stderr } = await cli.run("up", "--wait");
    expect(stderr).toContain("code cli/rolled-back");
  });

  it("has nothing to go back to after down", async () => {
    const { cli } = await world();
    await using _ = cli;
    expect((await cli.run("down")).code).toBe(0);
    fails({ cli } as World);
    for (const said of ["Nothing was running before", "no earlier state of the pipeline is known that was healthy"]) {
      const { code, stderr } = await cli.run("up", "--wait");
      expect(code).toBe(1);
      expect(stderr).toContain(said);
      cli.controlPlane.kept = {};
    }
  });

  it("puts nothing back that does not differ from what runs", async () => {
    const { cli, driver } = await world();
    await using _ = cli;
    await cli.write("flowctl.yaml", file("good"));
    fails({ cli } as World);
    const { code, stderr } = await cli.run("up", "--wait");
    expect([code, driver.applied]).toEqual([1, []]);
    expect(stderr).toContain("The rollback failed: it is the same as what is running now");
  });

  it("says when it is not known what ran before, or cannot be read", async () => {
    for (const [kept, why] of [
      [{}, "no earlier state of the pipeline is known that was healthy"],
      [{ healthy: new Uint8Array(80) }, "it was started by another user, from another machine"],
    ] as const) {
      const { cli } = await world();
      await using _ = cli;
      cli.controlPlane.kept = kept;
      const { code, stderr } = await cli.run("up", "--wait");
      expect(code).toBe(1);
      expect(stderr).toContain(`The rollback failed: ${why}`);
    }
  });
});
