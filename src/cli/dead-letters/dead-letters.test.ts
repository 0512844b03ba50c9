import { describe, expect, it } from "vitest";
import { readDeadLetter } from "../../event-files/dead-letter.ts";
import { eventLine } from "../../event-files/event-line.ts";
import { FlowctlError } from "../../foundation/errors.ts";
import { CliHarness } from "../cli-harness.fake.ts";

const FILE = `
name: demo
sources: { numbers: { uses: generator } }
processors:
  map: { uses: map, inputs: [numbers], with: { set: { a: "1" } }, on_error: { action: dead_letter, to: rejected } }
  check: { uses: filter, inputs: [map], with: { where: "true" }, on_error: { action: dead_letter, to: rejected } }
sinks:
  out: { uses: discard, inputs: [check] }
  rejected: { uses: file, with: { path: ./rejected.jsonl } }
`;

const line = (id: string, component: string, payload = '{"n":1}'): string =>
  eventLine({
    id,
    type: "number",
    payload: Buffer.from(payload),
    metadata: {
      region: "eu",
      "flowctl.dead_letter.reason": `no ${"very ".repeat(30)}long reason`,
      "flowctl.dead_letter.component": component,
      "flowctl.dead_letter.upstream": "numbers",
      "flowctl.dead_letter.attempts": "2",
      "flowctl.dead_letter.time": "2026-05-04T10:00:00.000Z",
    },
    timestamp: undefined,
    sourceComponentId: "numbers",
    contentType: "application/json",
  });

const LETTERS = [line("n1", "map"), line("n2", "check"), line("n3", "map", "{no json")];

async function harness(file = FILE): Promise<CliHarness> {
  const key = readDeadLetter(LETTERS[1]!)?.key;
  return CliHarness.create({
    "flowctl.yaml": file,
    "rejected.jsonl": LETTERS.map((letter) => `${letter}\n`).join(""),
    "rejected.jsonl.replayed": `{"letter":"${key}","id":"n2","replayed_at":"2026-05-05T00:00:00.000Z"}\n`,
  });
}

describe("flowctl dead-letters list", () => {
  it("shows what failed, where, how often, whether it was replayed, and the reason on one line", async () => {
    await using cli = await harness();
    const { code, stdout } = await cli.run("dead-letters", "list");
    expect(code).toBe(0);
    expect(stdout).toMatch(/^ID +TYPE +COMPONENT +ATTEMPTS +TIME +REPLAYED +REASON$/m);
    expect(stdout).toMatch(/^n1 +number +map +2 +2026-05-04T10:00:00.000Z +no +no very .*…$/m);
    expect(stdout).toMatch(/^n2 +number +check +2 +2026-05-04T10:00:00.000Z +2026-05-05T00:00:00.000Z +no very/m);
  });

  it("filters by component and by sink", async () => {
    await using cli = await harness();
    const idsOf = async (...flags: string[]): Promise<string[]> =>
      (JSON.parse((await cli.run("dead-letters", "list", "--json", ...flags)).stdout) as { id: string }[]).map(
        ({ id }) => id,
      );
    expect(await idsOf("--component", "map")).toEqual(["n1", "n3"]);
    expect(await idsOf("--sink", "rejected")).toEqual(["n1", "n2", "n3"]);
    const wrong = await cli.run("dead-letters", "list", "--sink", "out");
    expect(wrong).toMatchObject({ code: 5 });
    expect(wrong.stderr).toContain("cli/no-dead-letters");
  });

  it("says so where nothing keeps letters that can be read", async () => {
    const cases = [
      [FILE.replace("uses: file, with: { path: ./rejected.jsonl }", "uses: stdout"), "not in a file"],
      [FILE.replace("./rejected.jsonl }", "./rejected.jsonl, format: payload }"), "payloads alone"],
      [
        FILE.replaceAll(", on_error: { action: dead_letter, to: rejected }", "").replace(/ {2}rejected.*\n/, ""),
        "sends dead letters",
      ],
    ] as const;
    for (const [file, why] of cases) {
      await using cli = await harness(file);
      const { code, stderr } = await cli.run("dead-letters", "list");
      expect(code, stderr).toBe(5);
      expect(stderr).toContain(why);
    }
  });

  it("reads the file of each instance", async () => {
    await using cli = await CliHarness.create({
      "flowctl.yaml": FILE.replace("./rejected.jsonl }", "'./rejected-{instance}.jsonl' }, deploy: { replicas: 2 }"),
      "rejected-1.jsonl": `${LETTERS[0]}\n`,
      "rejected-3.jsonl": `${LETTERS[2]}\n`,
      "rejected-2.jsonl": `${LETTERS[1]}\n`,
    });
    const { stdout } = await cli.run("dead-letters", "list", "--json");
    expect(JSON.parse(stdout)).toHaveLength(3);
  });
});

describe("a component that is typed wrongly", () => {
  it("is an error, while one that the file no longer has may still have left letters", async () => {
    await using cli = await harness(FILE.replaceAll("check", "chosen"));
    expect((await cli.run("dead-letters", "list", "--component", "check")).stdout).toContain("n2");
    for (const command of [["list"], ["replay", "--all", "--dry-run"]]) {
      const { code, stderr } = await cli.run("dead-letters", ...command, "--component", "mapp");
      expect(code).toBe(5);
      expect(stderr).toContain('demo has no component "mapp"\n  fix  Did you mean map?\n  code cli/unknown-component');
    }
    expect((await cli.run("dead-letters", "list", "--component", "numbers")).code).toBe(0);
  });
});

describe("flowctl dead-letters show", () => {
  it("shows everything, the payload readable", async () => {
    await using cli = await harness();
    const { stdout } = await cli.run("dead-letters", "show", "n1");
    expect(stdout).toMatch(/^component +map, from numbers$/m);
    expect(stdout).toMatch(/^metadata region +eu$/m);
    expect(stdout).toContain('{\n  "n": 1\n}');
    expect((await cli.run("dead-letters", "show", "n3")).stdout).toContain("\n{no json");
    const document = JSON.parse((await cli.run("dead-letters", "show", "n3", "--json")).stdout) as unknown[];
    expect(document).toMatchObject([{ id: "n3", payload: "{no json", metadata: { region: "eu" }, replayedAt: null }]);
    expect((await cli.run("dead-letters", "show", "n9")).code).toBe(5);
  });
});

describe("flowctl dead-letters replay", () => {
  it("wants to know which, and knows them", async () => {
    await using cli = await harness();
    expect((await cli.run("dead-letters", "replay")).code).toBe(2);
    expect((await cli.run("dead-letters", "replay", "n1", "--all")).code).toBe(2);
    expect((await cli.run("dead-letters", "replay", "n9", "--dry-run")).code).toBe(5);
    const again = await cli.run("dead-letters", "replay", "n2", "--dry-run");
    expect(again.code).toBe(6);
    expect(again.stderr).toContain('Already replayed: "n2"');
    expect(again.stderr).toContain("--again");
  });

  it("with --dry-run says what would go where, and does nothing", async () => {
    await using cli = await harness();
    const dry = await cli.run("dead-letters", "replay", "--all", "--dry-run", "--json");
    expect(JSON.parse(dry.stdout)).toEqual([{ component: "map", sink: "rejected", events: ["n1", "n3"] }]);
    const again = await cli.run("dead-letters", "replay", "n2", "--again", "--dry-run");
    expect(again.stdout).toBe("1 to check\n  n2\n");
    expect(cli.drivers[0]?.applied).toEqual([]);
  });

  it("needs a pipeline that runs", async () => {
    await using cli = await harness();
    const { code, stderr } = await cli.run("dead-letters", "replay", "--all");
    expect(code).toBe(5);
    expect(stderr).toContain("cli/");
  });

  it("sends the events as they were to the component that gave them up, and marks what is acknowledged", async () => {
    await using cli = await harness();
    await cli.run("up", "-d");
    const applied = cli.drivers[0]?.applied.length;
    const { code, stdout } = await cli.run("dead-letters", "replay", "--all", "--again");
    expect(code).toBe(0);
    expect(stdout).toContain("2 events replayed to map");
    expect(stdout).toContain("1 event replayed to check");
    expect(cli.controlPlane.replayed).toEqual([
      ["map", "n1"],
      ["map", "n3"],
      ["check", "n2"],
    ]);
    expect(cli.drivers[0]?.applied.length).toBe(applied);
    expect((await cli.run("dead-letters", "replay", "--all")).stderr).toContain("No dead letters to replay");
  });

  it("marks what was acknowledged before it failed, and sends the rest the next time", async () => {
    await using cli = await harness();
    await cli.run("up", "-d");
    const error = new FlowctlError({ code: "control/replay-failed", kind: "failed", message: "disk gone" });
    cli.controlPlane.replayFailure = { after: 1, error };
    const { code, stderr } = await cli.run("dead-letters", "replay", "--all");
    expect(code).toBe(1);
    expect(stderr).toContain("disk gone");
    cli.controlPlane.replayFailure = undefined;
    expect((await cli.run("dead-letters", "replay", "--all")).stdout).toContain("1 event replayed to map");
    expect(cli.controlPlane.replayed).toEqual([
      ["map", "n1"],
      ["map", "n3"],
    ]);
  });

  it("of another command is refused while one is running on this machine", async () => {
    await using cli = await harness();
    await cli.run("up", "-d");
    let begun = (): void => undefined;
    let goOn = (): void => undefined;
    const isBegun = new Promise<void>((resolve) => {
      begun = resolve;
    });
    const mayGoOn = new Promise<void>((resolve) => {
      goOn = resolve;
    });
    const original = cli.controlPlane.client.bind(cli.controlPlane);
    cli.controlPlane.client = () => {
      const client = original();
      return {
        ...client,
        async *replayEvents(...args) {
          begun();
          await mayGoOn;
          yield* client.replayEvents(...args);
        },
      };
    };
    const first = cli.run("dead-letters", "replay", "--all");
    await isBegun;
    const second = await cli.run("dead-letters", "replay", "--all");
    goOn();
    expect(second.code).toBe(6);
    expect(second.stderr).toContain("control/replay-under-way");
    expect((await first).stdout).toContain("2 events replayed to map");
  });

  it("is no success where the stream ends before every event is acknowledged", async () => {
    await using cli = await harness();
    await cli.run("up", "-d");
    const original = cli.controlPlane.client.bind(cli.controlPlane);
    cli.controlPlane.client = () => ({
      ...original(),
      async *replayEvents(_component, events) {
        yield { upstreamId: "map-replay-1", acknowledged: [] };
        for await (const _ of events) break;
      },
    });
    const { code, stderr } = await cli.run("dead-letters", "replay", "--all");
    expect(code).toBe(4);
    expect(stderr).toContain("cli/replay-broken-off");
  });
});
