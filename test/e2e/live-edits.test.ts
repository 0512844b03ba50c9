import { beforeAll, describe, expect, it } from "vitest";
import { buildProgram, eventually, Scenario } from "./checks.ts";
import { driversUnderTest } from "./drivers-under-test.ts";

const COUNT = 9_000;

interface Edges {
  /** Processor id → where its events come from, in YAML. */
  readonly processors?: Readonly<Record<string, string>>;
  /** The inputs of the sink, in YAML. */
  readonly sink: string;
  /** Its id. */
  readonly name?: string;
  readonly replicas?: number;
}

/** Numbered events through the processors to one sink that remembers. */
function pipeline({ processors = {}, sink, name = "archive", replicas = 1 }: Edges): string {
  const middle = Object.entries(processors).map(
    ([id, inputs]) =>
      `  ${id}: { uses: filter, inputs: ${inputs}, with: { where: payload.sequence > 0 }, deploy: { replicas: ${replicas} } }`,
  );
  return `
sources:
  numbers: { uses: generator, with: { count: ${COUNT}, rate: 450 } }
${middle.length === 0 ? "" : `processors:\n${middle.join("\n")}`}
sinks:
  ${name}: { uses: file, inputs: ${sink}, with: { path: ./out/archive.jsonl } }
`;
}

const disk = (from: string, maxEvents: number): string =>
  `[{ from: ${from}, buffer: { type: disk, max_events: ${maxEvents}, when_full: block } }]`;
const memory = (from: string): string =>
  `[{ from: ${from}, buffer: { type: memory, max_events: 2000, when_full: block } }]`;

/** What a file becomes, one after the other, while events flow. */
const edits: readonly (readonly [string, Edges])[] = [
  ["a processor is taken out", { sink: "[numbers]" }],
  ["the sink is renamed", { sink: "[numbers]", name: "store" }],
  ["it is renamed back, with a processor before it", { processors: { a: "[numbers]" }, sink: "[a]" }],
  ["two are put in", { processors: { b: "[numbers]", c: "[b]" }, sink: "[c]" }],
  ["the first of them goes, the second is rewired", { processors: { c: "[numbers]" }, sink: "[c]" }],
  ["one is renamed", { processors: { d: "[numbers]" }, sink: "[d]" }],
  [
    "it is scaled, and a buffer on disk is put below it",
    { processors: { d: "[numbers]" }, sink: disk("d", 5000), replicas: 2 },
  ],
  ["it is scaled back, with events in its buffer", { processors: { d: "[numbers]" }, sink: disk("d", 9000) }],
  ["the buffer becomes one in memory", { processors: { d: "[numbers]" }, sink: memory("d") }],
  ["the processor goes, and the sink has no buffer", { sink: "[numbers]" }],
  [
    "a processor with a buffer on disk above and below comes",
    { processors: { e: disk("numbers", 3000) }, sink: disk("e", 3000) },
  ],
  ["the processor goes again, with what is in both buffers", { sink: "[numbers]" }],
];

beforeAll(buildProgram);

describe.each(driversUnderTest())("edits of a running pipeline on %s", (driver) => {
  it("lose nothing and double nothing, whatever is added, removed, renamed, rewired, scaled and buffered", async () => {
    await using scenario = await Scenario.on(driver, pipeline({ processors: { a: "[numbers]" }, sink: "[a]" }));
    await scenario.succeed("up", "-d");
    const arrived = async (): Promise<number> => (await scenario.lines("out/archive.jsonl")).length;
    for (const [step, [what, edges]] of edits.entries()) {
      const due = Math.floor((COUNT * (step + 0.5)) / (edits.length + 1));
      await eventually(`event ${due} before ${what}`, async () => (await arrived()) >= due, 120_000);
      await scenario.pipeline(pipeline(edges));
      await scenario.succeed("up", "-d");
    }
    await scenario.succeed("wait", "--timeout", "240");
    const sequences = (await scenario.lines("out/archive.jsonl")).map(
      (line) => (JSON.parse(line) as { sequence: number }).sequence,
    );
    expect(sequences.sort((a, b) => a - b)).toEqual(Array.from({ length: COUNT }, (_, i) => i + 1));
    expect((await scenario.instances()).map(({ instance }) => instance).sort()).toEqual([
      "archive-1",
      "control-plane",
      "numbers-1",
    ]);
    await scenario.succeed("down", "-v");
    expect(await scenario.leftovers()).toEqual([]);
    scenario.passed();
  }, 600_000);

  it("remove a sink without a warning from it or from what is above it", async () => {
    const archive = pipeline({ processors: { a: "[numbers]" }, sink: "[a]" });
    const extra = "  extra: { uses: discard, inputs: [a] }\n";
    await using scenario = await Scenario.on(driver, archive + extra);
    await scenario.succeed("up", "-d", "--wait", "--timeout", "90");
    const follow = scenario.flowctl("logs", "-f", "extra");
    await scenario.pipeline(archive);
    await scenario.succeed("up", "-d");
    expect(await scenario.succeed("logs", "a")).not.toMatch(/warn|error/);
    await scenario.succeed("down", "-v");
    expect((await follow).stdout).not.toMatch(/warn|error/);
    scenario.passed();
  });
});

/** No driver has a part in it: nothing is started and nothing is stopped. */
describe("edits of the inputs of a running pipeline", () => {
  it("lose nothing when an input goes from one running component to another and back, however soon", async () => {
    const swapped = (archive: string, other: string): string => `
sources:
  numbers: { uses: generator, with: { count: ${COUNT}, rate: 700 } }
processors:
  m: { uses: filter, inputs: [numbers], with: { where: payload.sequence > 0 } }
  n: { uses: map, inputs: [numbers], with: { set: { x: payload.sequence } } }
sinks:
  archive: { uses: file, inputs: [${archive}], with: { path: ./out/archive.jsonl } }
  other: { uses: discard, inputs: [${other}] }
`;
    await using scenario = await Scenario.on("process", swapped("m", "n"));
    await scenario.succeed("up", "-d", "--wait", "--timeout", "90");
    const ways = [
      ["n", "m, n"],
      ["m", "n"],
      ["numbers", "m, n"],
      ["m", "n, numbers"],
      ["n", "m"],
      ["m", "n"],
    ] as const;
    for (const [archive, other] of ways) {
      await scenario.pipeline(swapped(archive, other));
      await scenario.succeed("up", "-d");
    }
    await scenario.succeed("wait", "--timeout", "240");
    const sequences = new Set(
      (await scenario.lines("out/archive.jsonl")).map((line) => (JSON.parse(line) as { sequence: number }).sequence),
    );
    const missing = Array.from({ length: COUNT }, (_, i) => i + 1).filter((n) => !sequences.has(n));
    expect(missing).toEqual([]);
    await scenario.succeed("down", "-v");
    scenario.passed();
  }, 400_000);
});
