import { mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join, resolve } from "node:path";
import { describe, expect, it, vi } from "vitest";
import {
  type ConformanceReport,
  exploreComponent,
  type Facts,
  launchCommand,
  launchImage,
  listChecks,
  parseSampleEvents,
  renderReport,
  type TestComponentOptions,
  testComponent,
} from "../../src/conformance/index.ts";
import { launchFixture, launchFixtureHere, type Type } from "./component-fixture.ts";

const environment = process.env;

// Most of what they do is to wait; on a machine that others use as well, for their turn.
const testTimeout = 900_000;
vi.setConfig({ maxConcurrency: 12, testTimeout: testTimeout + 30_000 });

/** For what is to pass: a machine that others use as well may take long for everything. */
const patient = {
  startMs: 60_000,
  settleMs: 10_000,
  stepMs: 60_000,
  slackMs: 30_000,
  graceMs: 8_000,
  pingMs: 500,
  certificateMs: 15_000,
};

/** For what is to fail: it takes so long until that is found. */
const prompt = { startMs: 60_000, stepMs: 15_000, quietMs: 2_000, graceMs: 20_000, pingMs: 500, certificateMs: 6_000 };

/** A small component in plain grpc-js that keeps the contract, or breaks one obligation of it. */
function testFixture(type: Type, defect: string, options: Partial<TestComponentOptions> = {}) {
  return testComponent({
    launch: launchFixtureHere(type, defect),
    type,
    signal: AbortSignal.timeout(testTimeout),
    timing: patient,
    ...options,
  });
}

const known = new Map<string, Promise<Facts>>();

/** What a run of the fixture shows that has no defect: learned once. */
function factsOf(type: Type, config: unknown): Promise<Facts> {
  const key = JSON.stringify([type, config]);
  const facts =
    known.get(key) ??
    exploreComponent({
      launch: launchFixtureHere(type),
      type,
      config,
      timing: patient,
      insecure: true,
      signal: AbortSignal.timeout(testTimeout),
    });
  known.set(key, facts);
  return facts;
}

function failures(report: ConformanceReport) {
  return report.checks.filter((check) => check.outcome === "failed").map((check) => check.id);
}

describe("a component that keeps the contract", { concurrent: true }, () => {
  it.each<[Type, unknown, number]>([
    ["source", {}, 85],
    ["source", { count: 12 }, 89],
    ["processor", {}, 112],
    ["processor", { copies: 2 }, 112],
    ["sink", {}, 54],
  ])("shows as a %s with %j that it keeps all of it", async (type, config, checks) => {
    // One as a program of its own; the others within this one, at a tenth of the cost. In Python all of them are programs.
    const launch = type === "sink" ? launchFixture(type) : launchFixtureHere(type);
    const report = await testFixture(type, "", { config, launch });
    expect(failures(report), renderReport(report)).toEqual([]);
    expect(report).toMatchObject({ conforms: true, notShown: 0, identityChecked: true });
    expect(report.passed, renderReport(report)).toBeGreaterThan(checks);
  });

  it("may break a stream at any time, or refuse one that comes early: whoever is below dials again", async () => {
    const published = ["publish/event", "publish/every-group", "publish/before-topology"];
    const kept = ["refuse/instance", "identity/subscriber-authority", "identity/renewal-keeps-streams"];
    for (const [habit, only] of [
      ["a break: allowed", published],
      ["early: UNAVAILABLE", [...published, ...kept]],
    ] as const) {
      const report = await testFixture("processor", habit, { only });
      expect(failures(report), renderReport(report)).toEqual([]);
      expect(report.notShown).toBe(0);
    }
  });

  it("is not said to keep what it did not show", async () => {
    const report = await testFixture("processor", "", { config: { copies: 0 } });
    expect(failures(report), renderReport(report)).toEqual([]);
    expect(report.notShown, renderReport(report)).toBeGreaterThan(25);
    expect(report.checks.find(({ id }) => id === "ack/after-below")).toMatchObject({
      outcome: "not-shown",
      explanation: expect.stringContaining("--events"),
    });
    expect(renderReport(report)).toContain(
      `The processor keeps the contract as far as it was shown, but ${report.notShown} checks were not: ${report.passed} passed, 0 failed`,
    );
  });

  it("is asked nothing about what it does not declare", async () => {
    const only = ["publish/slot-stays", "buffer/memory-drops", "buffer/disk-kept", "drain/owed", "mark/heard"];
    const report = await testFixture("processor", "features: none", {
      only: [...only, "fail/drops", "fail/dead-letter", "leave/ends", "publish/event"],
    });
    expect(failures(report), renderReport(report)).toEqual([]);
    const looked = report.checks.filter(({ explanation }) => explanation.startsWith("it does not declare"));
    expect(looked.map(({ id }) => id)).toEqual(expect.arrayContaining([...only, "fail/drops", "leave/ends"]));
  });

  it("is seen to be held up by a full buffer, however slow it is, and not where it gave all that it has", async () => {
    const only = ["buffer/memory-block"];
    const facts = await factsOf("source", {});
    const look = async (defect: string, config: unknown, timing: TestComponentOptions["timing"] = prompt) => {
      const { checks } = await testFixture("source", defect, { config, only, facts, timing });
      return checks.find(({ id }) => id === only[0])?.outcome;
    };
    expect(await look("", { everyMs: 100 }, patient)).toBe("passed");
    expect(await look("buffer/memory-block", { everyMs: 100 })).toBe("failed");
    expect(await look("buffer/memory-block", { count: 12 })).toBe("not-shown");
  });

  it("is not said to do what it is told with a bad event where none is known", async () => {
    const { failing: _, ...facts } = await factsOf("sink", {});
    const report = await testFixture("sink", "", { facts, only: ["fail/drops"] });
    expect(report.checks.find(({ id }) => id === "fail/drops")).toMatchObject({
      outcome: "not-shown",
      explanation: expect.stringContaining('"fails": true'),
    });
  });

  it("is fed the event of which its author says that it fails", async () => {
    const payload = "no JSON either";
    const events = [{ json: { n: 1 } }, { payload, contentType: "application/json", fails: true }];
    const report = await testFixture("sink", "", { events, only: ["fail/drops"] });
    expect(report.conforms, renderReport(report)).toBe(true);
    const broken = await testFixture("sink", "", {
      events: [{ json: { n: 1 } }, { json: { n: 2 }, fails: true }],
      only: ["fail/drops"],
      timing: prompt,
    });
    expect(failures(broken), renderReport(broken)).toEqual(["fail/drops"]);
  });

  it("runs once at a time where it is told to", async () => {
    let running = 0;
    let most = 0;
    const launch = launchFixtureHere("sink");
    const report = await testComponent({
      launch: (variables) => {
        const launched = launch(variables);
        running += 1;
        most = Math.max(most, running);
        launched.onExit(() => {
          running -= 1;
        });
        return launched;
      },
      type: "sink",
      only: ["ack/all", "watch/added", "watch/moved", "stop/exit"],
      concurrency: 1,
      signal: AbortSignal.timeout(testTimeout),
    });
    expect(report.conforms, renderReport(report)).toBe(true);
    expect(most).toBe(1);
  });

  it("is recognized by what it registers as, when nobody says what it is", async () => {
    const report = await testComponent({
      launch: launchFixture("sink"),
      only: ["ack/all"],
      signal: AbortSignal.timeout(testTimeout),
    });
    expect(report.type).toBe("sink");
    expect(report.checks.map((check) => [check.id, check.outcome])).toContainEqual(["ack/all", "passed"]);
  });
});

// It takes a source that gives nothing to break it, and one that has nothing to give is no worse for it.
const unbreakable = ["publish/sends"];

/** Further ways to break an obligation, or the same way as another type: defect of the fixture, obligation, type. */
const furtherDefects: readonly (readonly [string, string, Type])[] = [
  ["end/after-acks", "end/after-acks", "source"],
  ["end/after-acks: completes", "end/after-acks", "source"],
  ["end/after-acks: completes", "end/after-acks", "processor"],
  ["end/every-group", "end/every-group", "source"],
  ["ack/every-group", "end/every-group", "source"],
  ["ack/every-group", "checkpoint/every-group", "source"],
  ["end/position-stored: refused", "end/position-stored", "source"],
  ["end/heard", "end/heard", "sink"],
  ["end/heard: refused", "end/heard", "processor"],
  ["end/nothing-after: sequence", "end/nothing-after", "source"],
  ["publish/goodbye", "publish/goodbye", "source"],
  ["publish/group-gone", "publish/group-gone", "source"],
  ["publish/dead-letters", "publish/dead-letters", "source"],
  ["end/before-ok", "end/before-ok", "source"],
  ["subscribe/wrong-upstream: keeps its connection", "subscribe/wrong-upstream", "sink"],
  ["subscribe/wrong-upstream: refused", "subscribe/wrong-upstream", "sink"],
  ["refuse/instance: replaces first", "refuse/instance", "processor"],
  ["publish/partition-by: bytes", "publish/partition-by", "processor"],
  ["register/again: not when away", "register/again", "sink"],
  ["register/again: not when late", "register/again", "sink"],
  ["register/refused: without the reason", "register/refused", "sink"],
  ["publish/nack-pause: the same", "publish/nack-pause", "processor"],
  ["buffer/memory-block", "buffer/memory-block", "source"],
  ["buffer/memory-drops: oldest", "buffer/memory-drops", "processor"],
  ["buffer/memory-drops", "buffer/memory-drops", "source"],
  ["buffer/disk-kept", "buffer/disk-kept", "source"],
  ["drain/owed: as the end of the data", "drain/owed", "processor"],
  ["drain/owed: ignored", "drain/owed", "source"],
  ["drain/told: once", "drain/told", "processor"],
  ["fail/retries: no pause", "fail/retries", "sink"],
  ["fail/drops: gives it on", "fail/drops", "processor"],
  ["fail/dead-letter: too early", "fail/dead-letter", "sink"],
  ["leave/ends", "leave/ends", "source"],
  ["leave/ends: breaks off", "leave/ends", "sink"],
  ["leave/after-acks", "leave/after-acks", "source"],
  ["identity/keeps-next: for everybody", "identity/keeps-next", "sink"],
  ["identity/refused: without the reason", "identity/refused", "source"],
  ["identity/upstream: any authority", "identity/upstream", "sink"],
  ["identity/serves: TLS 1.2", "identity/serves", "source"],
  ["identity/subscriber-authority: any", "identity/subscriber-authority", "source"],
  ["identity/subscriber-name: group alone", "identity/subscriber-name", "source"],
  ["identity/newest: serves", "identity/newest", "source"],
  ["identity/newest: dials", "identity/newest", "sink"],
];

describe("a component that breaks one obligation", { concurrent: true }, () => {
  const checks = listChecks();
  const defects = checks
    .filter((check) => !unbreakable.includes(check.id))
    .map(({ id, types }) => [id, id, types.includes("processor") ? "processor" : types[0]!] as const);
  it.each([...defects, ...furtherDefects])(
    "by %s fails %s as a %s, and nothing that it rests on",
    async (defect, id, type) => {
      const config = type === "source" && id.startsWith("end/") ? { count: 6 } : {};
      const report = await testFixture(type, defect, {
        config,
        only: [id],
        concurrency: 1,
        facts: await factsOf(type, config),
        timing: prompt,
        // The rest of the contract is the same either way, and the clear costs less.
        insecure: !id.startsWith("identity/"),
      });
      expect(failures(report), renderReport(report)).toEqual([id]);
      expect(report.conforms).toBe(false);
      const { fix } = checks.find((check) => check.id === id)!;
      expect(report.checks.find((one) => one.id === id)).toMatchObject({ fix, explanation: /./ });
    },
  );
});

describe("a component that knows nothing of certificates", () => {
  const launch: TestComponentOptions["launch"] = ({ FLOWCTL_TLS_CA, FLOWCTL_TLS_CERT, FLOWCTL_TLS_KEY, ...clear }) =>
    launchFixtureHere("sink")(clear);

  it("fails one check, which says so and what to do", async () => {
    const signal = AbortSignal.timeout(testTimeout);
    // It takes so long until it is found that it never joins.
    const report = await testComponent({ launch, signal, timing: { ...patient, startMs: 3_000 } });
    expect(report).toMatchObject({ type: "sink", conforms: false, identityChecked: true });
    expect(report.checks).toMatchObject([
      {
        id: "identity/joins-first",
        outcome: "failed",
        explanation: expect.stringContaining("it speaks in the clear"),
        fix: expect.stringContaining("--insecure"),
      },
    ]);
  });

  it("is tested in the clear where that is asked for, and the report says that identity was not checked", async () => {
    const signal = AbortSignal.timeout(testTimeout);
    const only = ["ack/all", "identity/joins-first"];
    const report = await testComponent({ launch, signal, insecure: true, only, timing: patient });
    expect(report).toMatchObject({ conforms: true, identityChecked: false });
    expect(report.checks.filter(({ id }) => id.startsWith("identity/"))).toMatchObject([
      { id: "identity/joins-first", outcome: "not-applicable", explanation: expect.stringContaining("--insecure") },
    ]);
    const text = renderReport(report);
    expect(text).toContain("The sink keeps the contract without its identity part: 2 passed, 0 failed");
    expect(text).toContain("Identity was not checked: everybody spoke in the clear (--insecure)");
  });
});

describe("of the whole suite", { concurrent: true }, () => {
  it.each<[Type, string]>([
    ["source", "checkpoint/contiguous"],
    ["processor", "ack/contiguous"],
    ["sink", "watch/moved"],
  ])("a %s that breaks %s alone fails that check alone", async (type, defect) => {
    const report = await testFixture(type, defect, { timing: prompt });
    expect(failures(report), renderReport(report)).toEqual([defect]);
  });
});

describe("a program that is no component", () => {
  const launch = (script: string) => launchCommand([process.execPath, "-e", script], { environment });

  it("that exits at once is an error with its output, and says nothing of the contract", async () => {
    const testing = testComponent({
      launch: launch("console.error('no database'); process.exit(3)"),
      signal: AbortSignal.timeout(testTimeout),
    });
    await expect(testing).rejects.toMatchObject({
      code: "conformance/ended-early",
      kind: "failed",
      message: expect.stringMatching(/^`.* -e .*` exited with code 3 before it called [\s\S]*│ no database$/),
    });
  });

  it("that calls and ends breaks the contract", async () => {
    const report = await testFixture("sink", "joins and ends");
    expect(failures(report)).toEqual(["register/identity"]);
    expect(report.checks[0]?.explanation).toContain("code 4");
  });

  it("that never registers is reported, and killed", async () => {
    const pids: number[] = [];
    const report = await testComponent({
      launch: (variables) => {
        const launched = launch("console.log(process.pid); setInterval(() => {}, 1e6)")(variables);
        return {
          ...launched,
          kill: async () => {
            pids.push(Number(launched.output()[0]));
            await launched.kill();
          },
        };
      },
      type: "sink",
      timing: { startMs: 1_500 },
      signal: AbortSignal.timeout(testTimeout),
    });
    expect(failures(report)).toEqual(["register/identity"]);
    // Once with certificates, and once without.
    expect(pids).toHaveLength(2);
    for (const pid of pids) expect(() => process.kill(pid, 0)).toThrow(expect.objectContaining({ code: "ESRCH" }));
  });

  it("that docker cannot start is an error with what docker said", async () => {
    const folder = await mkdtemp(join(tmpdir(), "flowctl-no-image-"));
    try {
      await writeFile(join(folder, "docker"), '#!/bin/sh\necho "no image acme/none" >&2\nexit 125\n', { mode: 0o755 });
      const testing = testComponent({
        launch: launchImage("acme/none", [], { environment: { PATH: `${folder}:${process.env.PATH}` } }),
        type: "sink",
        signal: AbortSignal.timeout(testTimeout),
      });
      await expect(testing).rejects.toMatchObject({
        code: "conformance/cannot-start",
        message: expect.stringMatching(/^The image acme\/none cannot be started: [\s\S]*│ no image acme\/none$/),
        fix: expect.stringContaining("Build or pull the image"),
      });
    } finally {
      await rm(folder, { recursive: true });
    }
  });

  it("that has no docker to run its image is an error that says so", async () => {
    const testing = testComponent({
      launch: launchImage("acme/none", [], { environment: { PATH: "/nowhere" } }),
      type: "sink",
      signal: AbortSignal.timeout(testTimeout),
    });
    await expect(testing).rejects.toMatchObject({
      code: "conformance/cannot-start",
      message: expect.stringContaining("there is no program docker"),
      fix: "Install the docker command line: --image needs it",
    });
  });

  it.each([
    [["/no/such/program", "--now"], "`/no/such/program --now` cannot be started: there is no program /no/such/program"],
    [[import.meta.filename], "is not executable"],
  ])("that cannot be started is an error with the reason: %j", async (command, reason) => {
    const testing = testComponent({
      launch: launchCommand(command, { environment }),
      type: "sink",
      signal: AbortSignal.timeout(testTimeout),
    });
    await expect(testing).rejects.toMatchObject({
      code: "conformance/cannot-start",
      kind: "usage",
      message: expect.stringContaining(reason),
    });
  });
});

describe("the test of a component", () => {
  it("looks at exactly what the documentation says", async () => {
    const page = await readFile(resolve(import.meta.dirname, "../../docs/reference/protocol.md"), "utf8");
    const documented = [...page.matchAll(/^\| `([a-z-]+\/[a-z-]+)` \| ([a-z, ]+) \| (.+) \|$/gm)].map((row) =>
      row.slice(1),
    );
    expect(documented).toEqual(
      listChecks().map(({ id, types, title }) => [id, types.length === 3 ? "all" : types.join(", "), title]),
    );
  });

  it("that is cancelled rejects with conformance/cancelled", async () => {
    const cancel = new AbortController();
    const running = testFixture("sink", "", { signal: cancel.signal, onProgress: () => cancel.abort() });
    await expect(running).rejects.toMatchObject({ code: "conformance/cancelled", kind: "cancelled" });
  });

  it("that names a check which does not exist rejects with the checks that do", async () => {
    await expect(testFixture("sink", "", { only: ["ack/sometimes"] })).rejects.toMatchObject({
      code: "conformance/unknown-check",
      fix: expect.stringContaining("ack/all"),
    });
  });

  it("feeds the sample events that it is given", async () => {
    const events = parseSampleEvents(
      '{"type": "a.v1", "json": {"n": 1}}\n\n{"payload": "plain", "metadata": {"k": "v"}}\n',
    );
    expect(events).toEqual([
      { type: "a.v1", json: { n: 1 } },
      { payload: "plain", metadata: { k: "v" } },
    ]);
    const report = await testFixture("processor", "", { events, only: ["publish/sends"] });
    expect(failures(report)).toEqual([]);
  });

  it.each([
    ["{", "not JSON"],
    ["[]", "not a JSON object"],
    ['{"jsn": 1}', 'no "jsn"'],
  ])("refuses the sample event %s with its place", (line, text) => {
    expect(() => parseSampleEvents(`{}\n${line}`, "samples.jsonl")).toThrow(
      expect.objectContaining({
        code: "conformance/bad-sample",
        message: expect.stringContaining(text),
        position: { file: "samples.jsonl", line: 2, column: 1 },
      }),
    );
  });
});
