import { beforeAll, expect, it } from "vitest";
import { buildProgram } from "../e2e/checks.ts";
import { driversUnderTest } from "../e2e/drivers-under-test.ts";
import { script } from "./harness/report.ts";
import { runRound } from "./harness/round.ts";

/**
 * A short run of the search for counterexamples; `npm run chaos` runs it long. FLOWCTL_CHAOS_SEED chooses another one. The steps of this
 * one have a freeze, a full disk, an edited buffer whose `up` is killed, and kills of the control plane and of a component.
 */
const seed = Number(process.env.FLOWCTL_CHAOS_SEED ?? 1870);
const STEPS = 7;

beforeAll(buildProgram);

it.each(driversUnderTest())(
  "on %s every event is where it must be after the pipeline was changed and broken at random while it ran",
  async (driver) => {
    console.log(`seed ${seed}`);
    const said: string[] = [];
    const { problems, steps } = await runRound({
      driver,
      seed,
      count: STEPS,
      pace: 0.1,
      say: (line) => said.push(line),
    });
    expect(problems, `${said.join("\n")}\n${script(driver, seed, steps)}`).toEqual([]);
  },
  600_000,
);
