import { execFileSync, spawnSync } from "node:child_process";
import { beforeAll, describe, expect, it } from "vitest";
import { buildProgram, eventually, Scenario } from "../e2e/checks.ts";

/**
 * A container that is cut off the network: it goes on, and no connection of it is closed, neither at its own end nor at the
 * others'. Only keepalive can find that out, on either side.
 */
const COUNT = 3_000;
const pipeline = `
sources:
  numbers: { uses: generator, with: { count: ${COUNT}, rate: 150, size: 16000 } }
processors:
  passed: { uses: filter, inputs: [numbers], with: { where: payload.sequence > 0 }, deploy: { replicas: 2 } }
sinks:
  archive: { uses: file, inputs: [passed], with: { path: ./out/archive.jsonl } }
`;

beforeAll(buildProgram);

const docker = (...args: string[]): string => execFileSync("docker", args, { encoding: "utf8" }).trim();

/** All that a container has logged. */
function said(container: string): string {
  const { stdout, stderr } = spawnSync("docker", ["logs", container], { encoding: "utf8" });
  return stdout + stderr;
}

/** Cuts a container off its only network; gives how to connect it again, under the names that it had. */
function cutOff(container: string): () => void {
  const networks = JSON.parse(docker("inspect", "-f", "{{json .NetworkSettings.Networks}}", container)) as Record<
    string,
    { readonly Aliases: readonly string[] | null }
  >;
  const [[network, { Aliases }] = ["", { Aliases: null }]] = Object.entries(networks);
  docker("network", "disconnect", network, container);
  return () => {
    const aliases = (Aliases ?? []).flatMap((alias) => ["--alias", alias]);
    // One that was silent for too long was restarted, and is connected again.
    if (docker("inspect", "-f", "{{json .NetworkSettings.Networks}}", container).includes(`"${network}"`)) return;
    docker("network", "connect", ...aliases, network, container);
  };
}

describe("an instance whose network vanishes at full speed", () => {
  const written = async (scenario: Scenario): Promise<number> => (await scenario.lines("out/archive.jsonl")).length;
  const sequences = async (scenario: Scenario): Promise<number[]> =>
    (await scenario.lines("out/archive.jsonl")).flatMap((line) => {
      // The last line may just be being written.
      const match = /"sequence":(\d+)/.exec(line);
      return match === null ? [] : [Number(match[1])];
    });
  const arrived = (scenario: Scenario, count: number): Promise<boolean> =>
    eventually(`${count} events at the sink`, async () => (await written(scenario)) >= count, 100_000);
  const ended = async (scenario: Scenario): Promise<void> => {
    await scenario.succeed("wait", "--timeout", "100");
    expect((await sequences(scenario)).sort((a, b) => a - b)).toEqual(Array.from({ length: COUNT }, (_, i) => i + 1));
    await scenario.succeed("down", "-v");
    expect(await scenario.leftovers()).toEqual([]);
    scenario.passed();
  };

  it("is given up by the one above and the one below; what it had goes to its sibling, and it comes back", async () => {
    await using scenario = await Scenario.on("docker", pipeline);
    await scenario.succeed("up", "-d");
    await arrived(scenario, COUNT / 10);
    const reconnect = cutOff((await scenario.refs())["passed-1"]!);
    try {
      await arrived(scenario, COUNT);
    } finally {
      reconnect();
    }
    await ended(scenario);
  }, 300_000);

  it("may be the source: whoever is below dials again, and gets the rest when it is back", async () => {
    await using scenario = await Scenario.on("docker", pipeline);
    await scenario.succeed("up", "-d");
    await arrived(scenario, COUNT / 10);
    const { "numbers-1": source, ...below } = await scenario.refs();
    const reconnect = cutOff(source!);
    let before = -1;
    await eventually(
      "nothing comes any more",
      async () => {
        const last = before;
        before = await written(scenario);
        return before === last;
      },
      60_000,
    );
    expect(before).toBeLessThan(COUNT);
    // Long enough for both sides to find out, which the ones below say.
    await eventually(
      "the ones below have given it up",
      () =>
        [below["passed-1"]!, below["passed-2"]!].every((ref) => said(ref).includes("lost the connection to upstream")),
      60_000,
    ).finally(reconnect);
    await ended(scenario);
  }, 300_000);
});
