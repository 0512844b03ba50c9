import { rm } from "node:fs/promises";
import { join } from "node:path";
import { expect, it } from "vitest";
import { MemoryDriver } from "../../drivers/memory-driver.fake.ts";
import { FlowctlError } from "../../foundation/errors.ts";
import { resourceOf } from "../../planner/plan.ts";
import { CliHarness } from "../cli-harness.fake.ts";

const FILE = `
name: demo
sources: { numbers: { uses: generator, with: { rate: 1 } } }
sinks: { out: { uses: discard, inputs: [numbers] } }
`;
const OVERRIDE = "sources: { numbers: { with: { rate: 7 } } }\n";

/** The command line with `up --watch` in it: what was applied to the source, and how it is ended. */
async function watching(...args: string[]) {
  const applied: string[] = [];
  const driver = new MemoryDriver({
    onApply: async (change) => {
      if (resourceOf(change).key === "component/numbers-1") applied.push(change.action);
    },
  });
  const cli = await CliHarness.create({ "flowctl.yaml": FILE }, [driver]);
  const up = cli.run("up", "--watch", ...args);
  return {
    cli,
    until: (...expected: readonly string[]) => expect.poll(() => applied, { timeout: 20_000 }).toEqual(expected),
    end: async (): Promise<readonly string[]> => {
      cli.first.abort(new FlowctlError({ code: "cli/interrupted", kind: "cancelled", message: "interrupted" }));
      return (await up).stderr.match(/(?<=Edited: ).*/g) ?? [];
    },
    said: async (): Promise<string> => (await up).stderr,
  };
}

it("up --watch applies flowctl.override.yaml when it is created, edited and removed", async () => {
  const { cli, until, end } = await watching();
  await using _ = cli;
  await until("create");
  await cli.write("flowctl.override.yaml", OVERRIDE);
  await until("create", "replace");
  await cli.write("flowctl.override.yaml", OVERRIDE.replace("7", "8"));
  await until("create", "replace", "replace");
  await rm(join(cli.folder, "flowctl.override.yaml"));
  await until("create", "replace", "replace", "replace");
  const edited = await end();
  expect(edited).toHaveLength(3);
  expect(edited.every((paths) => paths.endsWith("flowctl.override.yaml"))).toBe(true);
}, 60_000);

it("up --watch with files that are named does not look for an override beside them", async () => {
  const { cli, until, end } = await watching("-f", "flowctl.yaml");
  await using _ = cli;
  await until("create");
  await cli.write("flowctl.override.yaml", OVERRIDE);
  // What comes later is told first: nothing else was told.
  await cli.write("flowctl.yaml", FILE.replace("rate: 1", "rate: 2"));
  await until("create", "replace");
  expect(await end()).toEqual([expect.stringMatching(/^\S*flowctl\.yaml$/)]);
}, 60_000);

it("up --watch says of settings in .env that they count from the next start on, and of variables nothing", async () => {
  const { cli, until, end, said } = await watching();
  await using _ = cli;
  await until("create");
  await cli.write(".env", "FLOWCTL_LOG_LEVEL=debug\n");
  await cli.write("flowctl.yaml", FILE.replace("rate: 1", "rate: 2"));
  await until("create", "replace");
  await end();
  expect((await said()).match(/count from the next/g)).toHaveLength(1);
}, 60_000);
