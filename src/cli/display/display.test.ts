import { PassThrough } from "node:stream";
import { Chalk } from "chalk";
import { describe, expect, it } from "vitest";
import { FlowctlError } from "../../foundation/errors.ts";
import type { OutputStream } from "../dependencies.ts";
import { LogPrinter } from "./log-printer.ts";
import { colorLevel, createOutput, type Output } from "./output.ts";
import { createProgress } from "./progress.ts";
import { ttyProgress } from "./progress-tty.ts";
import { humanBytes, humanCount, humanDuration, humanRate, parseSpan } from "./quantities.ts";
import { errorDocument, renderError } from "./render-error.ts";
import { renderTable } from "./table.ts";

class Screen extends PassThrough implements OutputStream {
  readonly isTTY: boolean;
  readonly columns: number;
  text = "";
  // What the spinner asks of a terminal.
  readonly cursorTo = (): boolean => true;
  readonly moveCursor = (): boolean => true;
  readonly clearLine = (): boolean => true;

  constructor(columns: number | undefined) {
    super();
    this.isTTY = columns !== undefined;
    this.columns = columns ?? 0;
    this.on("data", (chunk: Buffer) => {
      this.text += chunk.toString();
    });
  }
}

function output(columns?: number, options: { json?: boolean; quiet?: boolean; env?: Record<string, string> } = {}) {
  const stdout = new Screen(columns);
  const stderr = new Screen(columns);
  const { json = false, quiet = false, env = {} } = options;
  return { stdout, stderr, output: createOutput({ stdout, stderr, env, json, quiet }) };
}

describe("colour", () => {
  it("follows the stream, and NO_COLOR beats FORCE_COLOR beats the stream", () => {
    const tty = new Screen(80);
    const pipe = new Screen(undefined);
    expect(colorLevel(pipe, {})).toBe(0);
    expect(colorLevel(tty, { TERM: "xterm" })).toBe(1);
    expect(colorLevel(tty, { TERM: "xterm-256color" })).toBe(2);
    expect(colorLevel(tty, { TERM: "dumb" })).toBe(0);
    expect(colorLevel(pipe, { FORCE_COLOR: "1" })).toBe(1);
    expect(colorLevel(tty, { NO_COLOR: "1", FORCE_COLOR: "1" })).toBe(0);
  });
});

describe("a table", () => {
  const columns = [
    { title: "NAME", value: (row: { name: string; count: string }) => row.name },
    { title: "COUNT", align: "right" as const, value: (row: { name: string; count: string }) => row.count },
  ];
  const rows = [
    { name: "a", count: "1" },
    { name: "a-very-long-name-indeed", count: "1,000" },
  ];

  it("is aligned, without borders and without trailing blanks", () => {
    expect(renderTable(columns, rows, output().output)).toBe(
      ["NAME                     COUNT", "a                            1", "a-very-long-name-indeed  1,000"].join("\n"),
    );
  });

  const narrow = (width: number, ...more: Parameters<typeof renderTable<(typeof rows)[number]>>[0][]): string =>
    renderTable([...columns, ...more.flat()], rows, output(width, { env: { NO_COLOR: "1" } }).output);

  it("leaves out columns where the terminal is too narrow: those that say nothing first, then by rank", () => {
    const more = [
      { title: "FIRST", rank: 9, value: () => "f" },
      { title: "LATER", rank: 1, value: () => "l" },
      { title: "NONE", rank: 0, value: () => "-" },
    ];
    const heads = [60, 50, 46, 40, 30].map((width) => narrow(width, more).split("\n")[0]?.split(/ +/));
    expect(heads).toEqual([
      ["NAME", "COUNT", "FIRST", "LATER", "NONE"],
      ["NAME", "COUNT", "FIRST", "LATER", "NONE"],
      ["NAME", "COUNT", "FIRST", "LATER"],
      ["NAME", "COUNT", "LATER"],
      ["NAME", "COUNT"],
    ]);
  });

  it("knows of what is painted whether it says something", () => {
    const more = [
      { title: "KEPT", rank: 5, value: () => "k" },
      { title: "DASH", rank: 1, value: () => "\x1b[2m-\x1b[22m" },
      { title: "ZERO", rank: 1, value: () => "0" },
    ];
    expect(narrow(40, more).split("\n")[0]?.split(/ +/)).toEqual(["NAME", "COUNT", "KEPT"]);
  });

  it("cuts or wraps texts where that is not enough, and never ids and numbers", () => {
    const text = "a long text that says much";
    expect(narrow(45, [{ title: "WHY", narrow: "cut", value: () => text }]).split("\n")).toEqual([
      "NAME                     COUNT  WHY",
      "a                            1  a long text …",
      "a-very-long-name-indeed  1,000  a long text …",
    ]);
    expect(
      narrow(45, [{ title: "WHY", narrow: "wrap", value: () => text }])
        .split("\n")
        .slice(1, 4),
    ).toEqual([
      "a                            1  a long text",
      "                                that says",
      "                                much",
    ]);
    const ranked = [
      { title: "WIDE", rank: 1, value: () => "w".repeat(20) },
      { title: "MINOR", rank: 9, value: () => "m" },
    ];
    expect(narrow(45, ranked).split("\n")[0]).toBe("NAME                     COUNT");
    expect(narrow(20).split("\n")[2]).toBe("a-very-long-name-indeed  1,000");
  });
});

describe("progress", () => {
  const events = [
    { subject: "component/a-1", status: "working", text: "Creating" },
    { subject: "component/a-1", status: "working", text: "Creating", fraction: 0.5 },
    { subject: "component/a-1", status: "done", text: "Created" },
  ] as const;
  const shown = async (out: ReturnType<typeof output>, mode: "auto" | "json" | "quiet"): Promise<string> => {
    const progress = await createProgress(out.output, mode);
    for (const event of events) progress.sink(event);
    progress.stop();
    progress.sink({ subject: "late", status: "done", text: "Late" });
    return out.stderr.text;
  };

  it("is one line a change where there is no terminal", async () => {
    expect(await shown(output(), "auto")).toBe("a-1 Creating\na-1 Created\n");
  });

  it("is lines, not a spinner, on a terminal that does not say its width", async () => {
    expect(await shown(output(0, { env: { NO_COLOR: "1" } }), "auto")).toBe("a-1 Creating\na-1 Created\n");
  });

  it("keeps a line of what is done on a terminal", async () => {
    const text = await shown(output(80, { env: { NO_COLOR: "1" } }), "auto");
    expect(text).toMatch(/✔ a-1 {14}Created {2}\d+ms\n/);
    expect(text.match(/\x1b\[[0-9;]*m/g), "colours").toBeNull();
  });

  it("counts on a terminal from when it began, and says the same once", () => {
    const out = output(80, { env: { NO_COLOR: "1" } });
    let now = 0;
    const progress = ttyProgress(out.output, { elapsed: () => now });
    for (const event of events) {
      progress.sink(event);
      now += 1_000;
    }
    progress.sink({ subject: "component/a-1", status: "done", text: "Created" });
    progress.stop();
    expect(out.stderr.text.match(/✔ .*\n/g)).toEqual([`✔ ${"a-1".padEnd(17)}Created  ${humanDuration(2_000)}\n`]);
  });

  it("says on a terminal what happens in one column, however long the names are that have begun", () => {
    const out = output(80, { env: { NO_COLOR: "1" } });
    const progress = ttyProgress(out.output, { elapsed: () => 0 });
    const long = "a-name-of-many-words-1";
    for (const name of ["a-1", long])
      progress.sink({ subject: `component/${name}`, status: "working", text: "Creating" });
    for (const name of ["a-1", long]) progress.sink({ subject: `component/${name}`, status: "done", text: "Created" });
    progress.stop();
    const lines = out.stderr.text.match(/✔ .*/g) ?? [];
    expect(lines.map((line) => line.indexOf("Created"))).toEqual([long.length + 3, long.length + 3]);
  });

  it("says nothing of networks and volumes unless they fail, and names the rest as people do", async () => {
    const out = output();
    const progress = await createProgress(out.output, "plain");
    const done = { status: "done", text: "Created" } as const;
    for (const subject of ["volume/state", "network/default", "control-plane/1", "service/db-1", "image/acme"])
      progress.sink({ subject, ...done });
    progress.sink({ subject: "volume/data", status: "failed", text: "no space" });
    progress.stop();
    expect(out.stderr.text).toBe("control plane Created\ndb-1 Created\nimage acme Created\nvolume/data no space\n");
  });

  it("is nothing when quiet or when the result is JSON, and JSON lines when asked for", async () => {
    expect(await shown(output(80, { quiet: true }), "auto")).toBe("");
    expect(await shown(output(80, { json: true }), "auto")).toBe("");
    expect(await shown(output(80), "quiet")).toBe("");
    const lines = (await shown(output(), "json")).trim().split("\n");
    expect(lines.map((line) => JSON.parse(line).progress)).toEqual(events);
  });
});

describe("log lines", () => {
  const line = { instance: "a-1", owner: "a", time: Date.UTC(2026, 0, 31), text: "" };
  const print = (out: { stdout: Screen; output: Output }, ...texts: string[]): string => {
    const printer = new LogPrinter(out.output, { timestamps: true, prefix: true, level: "info", names: ["longer-1"] });
    for (const text of texts) printer.print({ ...line, stream: "stderr", text });
    printer.print({ ...line, stream: "stdout", text: '{"level":"info","msg":"data, not a log line"}' });
    return out.stdout.text;
  };

  it("are prefixed, dated, and readable where they are structured; what goes to standard output stays as it is", () => {
    expect(
      print(output(), '{"level":"warn","msg":"slow","ms":5,"err":{"message":"no room","code":"x/y"}}', "text"),
    ).toBe(
      [
        'a-1      │ 2026-01-31T00:00:00.000Z warn  slow ms=5 err="no room (x/y)"',
        "a-1      │ 2026-01-31T00:00:00.000Z text",
        'a-1      │ 2026-01-31T00:00:00.000Z {"level":"info","msg":"data, not a log line"}\n',
      ].join("\n"),
    );
  });

  it("below the level are left out, broken JSON is text", () => {
    const text = print(output(), '{"level":"debug","msg":"hidden"}', '{"level":"info"');
    expect(text).not.toContain("hidden");
    expect(text).toContain('{"level":"info"\n');
  });

  it("are one JSON object a line for machines", () => {
    const lines = print(output(undefined, { json: true }), "text")
      .trim()
      .split("\n");
    expect(JSON.parse(lines[0] as string)).toMatchObject({ instance: "a-1", text: "text" });
  });
});

describe("an error", () => {
  const error = new FlowctlError({
    code: "pipeline/unknown-key",
    kind: "invalid",
    message: "Unknown key",
    fix: "Remove it",
    position: { file: "/home/p/flowctl.yaml", line: 3, column: 7 },
    path: "sources.a",
  });

  it("says what, where, how to mend it, and its code", () => {
    expect(renderError(error, { paint: new Chalk({ level: 0 }), cwd: "/home", debug: false })).toBe(
      "error: Unknown key\n  at   p/flowctl.yaml:3:7\n  in   sources.a\n  fix  Remove it\n  code pipeline/unknown-key",
    );
  });

  it("is plain data for machines, with the exit code", () => {
    expect(errorDocument(error)).toMatchObject({
      error: { code: "pipeline/unknown-key", exitCode: 3, fix: "Remove it" },
    });
    expect(errorDocument(new TypeError("x"))).toMatchObject({ error: { code: "internal/unexpected", exitCode: 70 } });
  });
});

describe("quantities", () => {
  it("are short for people", () => {
    expect([0, 850, 4_200, 59_960, 192_000, 3_600_000, 187_200_000].map(humanDuration)).toEqual([
      ...["0ms", "850ms", "4.2s", "1m", "3m 12s", "1h", "2d 4h"],
    ]);
    expect(humanCount(1_234_567)).toBe("1,234,567");
    expect([0, 0.34, 48, 1250].map(humanRate)).toEqual(["0", "0.3", "48", "1,250"]);
    expect([512, 3_565_158].map(humanBytes)).toEqual(["512 B", "3.4 MiB"]);
  });

  it("of time are read as seconds or with units", () => {
    expect(["30", "0", "500ms", "1m30s", "1.5h", "soon", "1x", ""].map(parseSpan)).toEqual([
      ...[30_000, 0, 500, 90_000, 5_400_000, undefined, undefined, undefined],
    ]);
  });
});
