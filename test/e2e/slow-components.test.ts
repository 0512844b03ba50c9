import { join } from "node:path";
import { beforeAll, describe, expect, it } from "vitest";
import { buildProgram, eventually, Scenario } from "./checks.ts";

const slow = `command: [${process.execPath}, ${join(import.meta.dirname, "fixtures/slow-component.mjs")}]`;

interface Status {
  readonly slow: readonly { readonly id: string; readonly holdsUp: string; readonly share: number }[];
}

/** What is above the slow one in each: all of it is held up, and who of it most, by a hair, changes from moment to moment. */
const ABOVE = ["feed", "quick", "one", "two"];

const pipelines: Readonly<Record<string, string>> = {
  "a sink below a processor that keeps up": `
sources: { feed: { uses: generator, with: { rate: unlimited } } }
processors: { quick: { uses: filter, with: { where: "true" }, inputs: [feed] } }
sinks: { snail: { ${slow}, with: { ms: 2 }, inputs: [quick] } }`,
  "one of two sinks of a source": `
sources: { feed: { uses: generator, with: { rate: unlimited } } }
sinks:
  quick: { uses: discard, inputs: [feed] }
  snail: { ${slow}, with: { ms: 2 }, inputs: [feed] }`,
  "a processor three below the source, with others below it": `
sources: { feed: { uses: generator, with: { rate: unlimited } } }
processors:
  one: { uses: filter, with: { where: "true" }, inputs: [feed] }
  two: { uses: filter, with: { where: "true" }, inputs: [one] }
  snail: { ${slow}, with: { ms: 1 }, inputs: [two] }
  after: { uses: filter, with: { where: "true" }, inputs: [snail] }
sinks: { out: { uses: discard, inputs: [after] } }`,
  "the replicas of a processor": `
sources: { feed: { uses: generator, with: { rate: unlimited } } }
processors:
  quick: { uses: filter, with: { where: "true" }, inputs: [feed] }
  snail: { ${slow}, with: { ms: 1 }, deploy: { replicas: 2 }, inputs: [quick] }
sinks: { out: { uses: discard, inputs: [snail] } }`,
  "what is below a full buffer": `
sources: { feed: { uses: generator, with: { rate: unlimited } } }
processors: { quick: { uses: filter, with: { where: "true" }, inputs: [feed] } }
sinks: { snail: { ${slow}, with: { ms: 5 }, inputs: [{ from: quick, buffer: { type: disk, max_events: 5000 } }] } }`,
};

beforeAll(buildProgram);

describe("the slow component that status names", () => {
  it.each(Object.entries(pipelines))("is %s", async (_what, pipeline) => {
    await using scenario = await Scenario.on("process", pipeline);
    await scenario.succeed("up", "-d", "--wait", "--timeout", "60");
    const named = async (): Promise<Status["slow"]> =>
      (JSON.parse(await scenario.succeed("status", "--json")) as Status).slow;
    let last: Status["slow"] = [];
    await eventually("the slow one is named", async () => {
      last = await named();
      // While what lies between them fills up, another one may be named as well.
      return last.length === 1 && last[0]!.id === "snail";
    }).catch((error: unknown) => {
      throw new Error(`last named: ${JSON.stringify(last)}`, { cause: error });
    });
    expect(ABOVE).toContain(last[0]!.holdsUp);
    const sentence = new RegExp(`^snail is slow: (${ABOVE.join("|")}) was blocked \\d+% of the time`, "m");
    expect(await scenario.succeed("status")).toMatch(sentence);
    scenario.passed();
  });
});
