import { fileURLToPath } from "node:url";
import { beforeAll, describe, expect, it } from "vitest";
import { buildProgram, eventually, Scenario } from "./checks.ts";

const component = fileURLToPath(new URL("../conformance/fixtures/component.mjs", import.meta.url));

/** A source that was written from the contract alone, above a sink; `sink` is what else its block holds. */
const pipeline = (sink: string) => `
sources:
  feed: { command: [node, ${JSON.stringify(component)}, source, "features: none"], restart: "no" }
sinks:
  seen: { uses: stdout, inputs: [feed]${sink} }
`;
/** It speaks in the clear, as a program without the SDK may. */
async function scenarioOf(file: string): Promise<Scenario> {
  const scenario = await Scenario.on("process", file);
  scenario.env.FLOWCTL_INSECURE = "1";
  return scenario;
}

const shared = pipeline(", partition_by: payload.number, deploy: { replicas: 2 }");

beforeAll(buildProgram);

describe("partition_by below a component that does not support it", () => {
  it("is refused when the component registers, with the reason", async () => {
    await using scenario = await scenarioOf(shared);
    const { code, stdout, stderr } = await scenario.flowctl("up", "-d", "--wait", "--timeout", "90");
    expect(code, `${stdout}\n${stderr}`).not.toBe(0);
    const logs = await scenario.flowctl("logs", "feed");
    expect(`${logs.stdout}\n${logs.stderr}`).toContain(
      "feed-1 does not support partition_by, which is required: seen has partition_by and 2 replicas",
    );
    await scenario.succeed("down", "-v");
    scenario.passed();
  });

  it("is refused as a change of the pipeline while it runs, which goes on as it was", async () => {
    await using scenario = await scenarioOf(pipeline(""));
    await scenario.succeed("up", "-d", "--wait", "--timeout", "90");
    await scenario.pipeline(shared);
    const { code, stderr } = await scenario.flowctl("up", "-d", "--wait", "--timeout", "90");
    expect(code).not.toBe(0);
    expect(stderr).toContain("feed-1 does not support partition_by");
    expect(stderr).toContain("Remove partition_by of seen from the pipeline file");
    const instances = async () =>
      (JSON.parse(await scenario.succeed("ps", "--json")) as { instance: string; state: string }[])
        .filter(({ instance }) => instance !== "control-plane")
        .map(({ instance, state }) => `${instance} ${state}`);
    await eventually(
      "both instances of before",
      async () => (await instances()).join() === "feed-1 healthy,seen-1 healthy",
    );
    await scenario.succeed("down", "-v");
    scenario.passed();
  });
});
