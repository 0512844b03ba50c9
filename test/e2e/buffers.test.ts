import { beforeAll, describe, expect, it } from "vitest";
import { buildProgram, eventually, Scenario } from "./checks.ts";
import { driversUnderTest } from "./drivers-under-test.ts";

const pipeline = `
sources:
  ticks: { uses: generator, with: { rate: 1000 } }
sinks:
  all: { uses: file, inputs: [ticks], with: { path: ./out/all.jsonl } }
  memory:
    uses: discard
    inputs: [{ from: ticks, buffer: { type: memory, max_events: 50, when_full: drop_newest } }]
    with: { delay: 1s }
  disk:
    uses: discard
    inputs: [{ from: ticks, buffer: { type: disk, max_events: 50, when_full: drop_oldest } }]
    with: { delay: 1s }
`;

interface Row {
  readonly instance: string;
  readonly ports: readonly string[];
  readonly metrics?: { readonly eventsDropped: number };
}

beforeAll(buildProgram);

describe.each(driversUnderTest())("what full buffers drop on %s", (driver) => {
  it("is counted in ps, in status, and in the metrics of the control plane", async () => {
    await using scenario = await Scenario.on(driver, pipeline);
    await scenario.succeed("up", "-d", "--wait", "--timeout", "90");
    const rows = async (): Promise<readonly Row[]> => JSON.parse(await scenario.succeed("ps", "--json")) as Row[];
    const dropped = (list: readonly Row[]): number =>
      list.find(({ instance }) => instance === "ticks-1")?.metrics?.eventsDropped ?? 0;
    await eventually("drops", async () => dropped(await rows()) > 0);
    const [title = "", source = ""] = (await scenario.succeed("status"))
      .split("\n")
      .filter((line) => /^(COMPONENT|ticks) /.test(line));
    const column = title.indexOf("DROPPED") + "DROPPED".length;
    expect(source.slice(0, column)).toMatch(/[1-9][\d,.]*\w?$/);

    const controlPlane = (await rows()).find(({ instance }) => instance === "control-plane");
    const texts = await Promise.all(
      (controlPlane?.ports ?? []).map(async (port) => {
        const answer = await fetch(`http://${port.split("->")[0]}/metrics`).catch(() => undefined);
        return (await answer?.text()) ?? "";
      }),
    );
    const sample = /^flowctl_instance_events_dropped_total\{component="ticks",instance="ticks-1"\} (\d+)$/m;
    expect(Number(sample.exec(texts.join("\n"))?.[1])).toBeGreaterThan(0);
    await scenario.succeed("down", "-v");
    expect(await scenario.leftovers()).toEqual([]);
    scenario.passed();
  });
});
