import { execFile } from "node:child_process";
import { mkdir, mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join, relative } from "node:path";
import { promisify } from "node:util";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { builtinCatalog } from "../components/catalog.ts";
import { hasCode } from "../foundation/errors.ts";
import { fakeCatalog } from "./catalog.fake.ts";
import type { LoadOptions } from "./load-pipeline.ts";
import { discoverPipelineFiles, loadPipeline } from "./load-pipeline.ts";
import { problemsError } from "./problem.ts";

let folder = "";
beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), "flowctl-load-"));
});
afterEach(async () => {
  await rm(folder, { recursive: true, force: true });
});

const smallest = "sources: { feed: { uses: generator } }\nsinks: { out: { uses: stdout, inputs: [feed] } }\n";

async function write(name: string, text: string): Promise<string> {
  const path = join(folder, name);
  await mkdir(join(path, ".."), { recursive: true });
  await writeFile(path, text);
  return path;
}

function load(options: Partial<LoadOptions>) {
  return loadPipeline({ files: [], env: {}, catalog: fakeCatalog, ...options });
}

async function codes(options: Partial<LoadOptions>): Promise<readonly string[]> {
  const result = await load(options);
  return (result.ok ? result.warnings : result.problems).map((problem) => problem.code);
}

describe("a load", () => {
  test("takes the name from the caller, else the file, else the folder", async () => {
    const named = await write("named.yaml", `name: in-file\n${smallest}`);
    const unnamed = await write("My Quakes!/flow.yaml", smallest);
    const nameOf = async (options: Partial<LoadOptions>) => {
      const result = await load(options);
      return result.ok ? result.pipeline.name : undefined;
    };
    expect(await nameOf({ files: [named], name: "given" })).toBe("given");
    expect(await nameOf({ files: [named] })).toBe("in-file");
    expect(await nameOf({ files: [unnamed] })).toBe("myquakes");
  });

  test("refuses a name that the caller gives and that is none", async () => {
    const file = await write("flow.yaml", smallest);
    expect(await codes({ files: [file], name: "Not A Name" })).toEqual(["pipeline/invalid-name"]);
    const result = await load({ files: [file], name: "Not A Name" });
    expect(result.ok ? [] : result.problems.map(({ message }) => message)).toEqual([
      'Invalid pipeline name "Not A Name" (overrides the name in the file)',
    ]);
  });

  test("interpolates from the environment, over the .env file beside the first file", async () => {
    await write(".env", "A=from-file\nB=from-file\n");
    const file = await write("flow.yaml", `name: $A-$B\n${smallest}`);
    const result = await load({ files: [file], env: { A: "from-env", C: undefined } });
    expect(result.ok && result.pipeline.name).toBe("from-env-from-file");
  });

  test("reads another env file instead when it is told to, and misses it when it is not there", async () => {
    await write(".env", "A=default\n");
    const other = await write("other.env", "A=other\n");
    const file = await write("flow.yaml", `name: $A\n${smallest}`);
    const result = await load({ files: [file], envFile: other });
    expect(result.ok && result.pipeline.name).toBe("other");
    expect(await codes({ files: [file], envFile: join(folder, "none.env") })).toContain("pipeline/file-missing");
  });

  test("waits for the writer of a named pipe, and no longer than it is told to", async () => {
    const pipe = join(folder, "flow.yaml");
    await promisify(execFile)("mkfifo", [pipe]);
    const waiting = load({ files: [pipe] });
    await writeFile(pipe, smallest);
    expect(await waiting).toMatchObject({ ok: true });
    const stop = new AbortController();
    const stopped = load({ files: [pipe], signal: stop.signal });
    stop.abort(new Error("told to"));
    await expect(stopped).rejects.toThrow("told to");
    const tooMuch = load({ files: [pipe] });
    await writeFile(pipe, "#".repeat(2 << 20)).catch(() => undefined);
    expect(await tooMuch).toMatchObject({ ok: false, problems: [{ code: "pipeline/file-too-large" }] });
  });

  test("reads from standard input, and starts paths from the folder it is given", async () => {
    const text = smallest.replace("stdout,", "file, with: { path: out.jsonl },");
    const result = await load({ files: ["-"], stdin: text, directory: folder });
    expect(result.ok && result.pipeline.components[1]).toMatchObject({
      with: { path: join(folder, "out.jsonl") },
      hostPaths: [{ path: join(folder, "out.jsonl"), access: "write", kind: "file" }],
    });
  });

  describe("gives a built-in no more of the machine than its paths need", () => {
    const hostPathsOf = async (type: "source" | "sink", settings: string, driver?: "docker" | "process") => {
      const source = type === "source" ? `{ uses: file, with: ${settings} }` : "{ uses: generator }";
      const sink =
        type === "sink" ? `{ uses: file, inputs: [a], with: ${settings} }` : "{ uses: discard, inputs: [a] }";
      const file = await write("project/flow.yaml", `sources:\n  a: ${source}\nsinks:\n  b: ${sink}\n`);
      const result = await load({ files: [file], env: { HOME: join(folder, "home") }, ...(driver && { driver }) });
      if (!result.ok) return result.problems.map(({ code, position }) => `${code}:${position.line}:${position.column}`);
      const paths = result.pipeline.components.flatMap(({ hostPaths }) => hostPaths);
      return [
        ...paths.map(({ path, access, kind }) => [relative(folder, path), access, kind].join(" ")),
        ...result.warnings.map(({ code }) => code),
      ];
    };
    const follow = (path: string): string => `{ path: "${path}", follow: true }`;

    test.each([
      ["in.jsonl", "project/in.jsonl read file"],
      ["../in.jsonl", "in.jsonl read file"],
    ])("to read the file %s: itself", async (path, expected) => {
      await write(expected.split(" ")[0] as string, "");
      expect(await hostPathsOf("source", `{ path: ${path} }`)).toEqual([expected]);
    });

    test("to follow a file: its folder, into which others are rotated", async () => {
      await write("project/logs/app.log", "");
      expect(await hostPathsOf("source", follow("logs/app.log"))).toEqual(["project/logs read folder"]);
    });

    test.each([
      ["out/events.jsonl", "project/out write folder"],
      ["../results/events.jsonl", "results write folder"],
      ["{instance}/events.jsonl", "project/{instance} write folder"],
      ["events.jsonl", "project/events.jsonl write file"],
      ["{instance}.jsonl", "project/{instance}.jsonl write file"],
      ["../events.jsonl", "events.jsonl write file"],
      ["~/events.jsonl", "home/events.jsonl write file"],
    ])("to write %s: its folder, or itself where that is the project folder or the like", async (path, expected) => {
      expect(await hostPathsOf("sink", `{ path: "${path}" }`)).toEqual([expected]);
    });

    test.each(["app.log", "../app.log", "~/app.log", "/etc/app.log", "/app.log"])(
      "and refuses on Docker to follow %s, whose folder is of other things",
      async (path) => {
        const found = (driver?: "docker" | "process") => hostPathsOf("source", follow(path), driver);
        expect(await found("docker")).toContain("pipeline/shared-folder:2:34");
        expect(await found()).toContain("pipeline/shared-folder");
        expect((await found("process")).join()).not.toContain("shared-folder");
      },
    );
  });

  test("starts paths of further files from the folder of the first, as Compose does", async () => {
    const base = await write("flow.yaml", smallest);
    const over = await write("deeper/over.yaml", "sinks: { out: { volumes: ['./data:/data'] } }\n");
    const result = await load({ files: [base, over] });
    expect(result.ok && result.pipeline.components[1]?.mounts[0]?.source).toBe(join(folder, "data"));
    expect(result.ok && result.pipeline.files).toEqual([base, over]);
  });

  test("starts paths of included files from their own folder", async () => {
    await write("part/flow.yaml", "sinks: { out: { uses: file, with: { path: x.jsonl }, inputs: [feed] } }\n");
    const file = await write("flow.yaml", "include: [part/flow.yaml]\nsources: { feed: { uses: generator } }\n");
    const result = await load({ files: [file] });
    expect(result.ok && result.pipeline.components[1]?.with).toEqual({ path: join(folder, "part/x.jsonl") });
  });

  test("reports the mistakes of all files, those of the first file first", async () => {
    const base = await write("flow.yaml", `${smallest}colour: red\n`);
    const over = await write("over.yaml", "flavour: sweet\ncolor: blue\n");
    const result = await load({ files: [base, over] });
    if (result.ok) throw new Error("it loaded");
    expect(result.problems.map(({ position }) => [position.file, position.line])).toEqual([
      [base, 3],
      [over, 1],
      [over, 2],
    ]);
  });

  test("says so when there is nothing to read", async () => {
    expect(await codes({ files: [] })).toEqual(["pipeline/file-missing"]);
    expect(await codes({ files: [join(folder, "none.yaml")] })).toEqual(["pipeline/file-missing"]);
    expect(await codes({ files: [folder] })).toEqual(["pipeline/file-unreadable"]);
    expect(await codes({ files: ["/dev/zero"] })).toEqual(["pipeline/file-unreadable"]);
    expect(await codes({ files: ["a\0b"] })).toEqual(["pipeline/file-unreadable"]);
    const large = await write("large.yaml", "#".repeat(2 * 1024 * 1024));
    expect(await codes({ files: [large] })).toEqual(["pipeline/file-too-large"]);
  });

  test("rejects when it is aborted", async () => {
    const file = await write("flow.yaml", smallest);
    await expect(load({ files: [file], signal: AbortSignal.abort() })).rejects.toMatchObject({ name: "AbortError" });
  });

  test("leaves what the caller's driver cannot run out of nothing, but names it", async () => {
    const file = await write("flow.yaml", `driver: docker\n${smallest.replace("uses: generator", "image: i")}`);
    expect((await load({ files: [file] })).ok).toBe(true);
    expect(await codes({ files: [file], driver: "process" })).toEqual(["pipeline/driver-cannot-run"]);
  });

  test("never holds the value of a secret", async () => {
    const text = `${smallest.replace("inputs", "secrets: [s], inputs")}secrets: { s: { environment: S } }\n`;
    const result = await load({ files: ["-"], stdin: text, env: { S: "hunter2" }, directory: folder });
    expect(result.ok).toBe(true);
    expect(JSON.stringify(result)).not.toContain("hunter2");
  });

  test.for([
    ["payload.sequence => 1", "Write `payload.sequence >= 1`."],
    ["paylod.sequence > 1", "Write `payload.sequence > 1`."],
    ["type.startWith('a')", "Did you mean `startsWith`?"],
    [
      "payload.sequence + 1 == nothing_like_it",
      "Write `payload.sequence + 1 == payload.nothing_like_it`, or use one of content_type, id, metadata, payload, source, timestamp and type.",
    ],
  ] as const)("says how to fix the expression %s", async ([where, fix]) => {
    const text = `sources: { feed: { uses: generator } }
processors: { strong: { uses: filter, with: { where: "${where}" }, inputs: [feed] } }
sinks: { out: { uses: stdout, inputs: [strong] } }\n`;
    const result = await load({ files: ["-"], stdin: text, catalog: builtinCatalog });
    expect(result.ok ? [] : result.problems.map((problem) => problem.fix)).toEqual([fix]);
  });

  test("says no value of a variable once more in the fix of an expression", async () => {
    const text = `sources: { feed: { uses: generator } }
processors: { strong: { uses: filter, with: { where: "payload.token = '\${TOKEN}'" }, inputs: [feed] } }
sinks: { out: { uses: stdout, inputs: [strong] } }\n`;
    const result = await load({ files: ["-"], stdin: text, env: { TOKEN: "hunter2" }, catalog: builtinCatalog });
    expect(result.ok ? [] : result.problems.map((problem) => problem.code)).toEqual(["pipeline/invalid-setting"]);
    expect(JSON.stringify(result.ok || result.problems.map(({ message, fix }) => [message, fix]))).not.toContain(
      "hunter2",
    );
  });

  test("knows the built-ins that flowctl has", async () => {
    const text = `sources: { feed: { uses: generator, with: { count: 3 } } }
processors: { strong: { uses: filter, with: { where: "payload.sequence >> 1" }, inputs: [feed] } }
sinks: { out: { uses: stdout, inputs: [strong] } }\n`;
    expect(await codes({ files: ["-"], stdin: text, catalog: builtinCatalog })).toEqual(["pipeline/invalid-setting"]);
    const fixed = text.replace(">> 1", "> 1");
    expect(await codes({ files: ["-"], stdin: fixed, catalog: builtinCatalog })).toEqual([]);
  });
});

test("a pipeline file is found by its usual names, in their order", async () => {
  expect(await discoverPipelineFiles(folder)).toEqual([]);
  const last = await write("pipeline.yml", smallest);
  expect(await discoverPipelineFiles(folder)).toEqual([last]);
  const first = await write("flowctl.yaml", smallest);
  expect(await discoverPipelineFiles(folder)).toEqual([first]);
  const override = await write("flowctl.override.yml", "");
  expect(await discoverPipelineFiles(folder)).toEqual([first, override]);
});

test("a report can be thrown as one error, at its first mistake", async () => {
  const result = await load({ files: ["-"], stdin: `colour: red\nflavour: sweet\n${smallest}` });
  if (result.ok) throw new Error("it loaded");
  const error = problemsError(result.problems);
  expect(hasCode(error, "pipeline/invalid")).toBe(true);
  expect(error.position).toEqual({ file: "<stdin>", line: 1, column: 1, length: 6 });
  expect(error.message).toContain("and 1 more problem");
});

describe("a file that is far too large for people", () => {
  const WIRED = 1_500;
  const many = (count: number, line: (index: number) => string) =>
    Array.from({ length: count }, (_, index) => line(index)).join("");
  const wired = (from: (index: number, count: number) => string) => {
    const one = (index: number) =>
      `  p${index}: { uses: filter, with: { where: 'true' }, inputs: [${from(index, WIRED)}] }\n`;
    return `sources: { s: { uses: generator } }\nprocessors:\n${many(WIRED, one)}sinks: { o: { uses: stdout, inputs: [p${WIRED - 1}] } }\n`;
  };

  test("is loaded when it is right", async () => {
    const chain = wired((index) => (index === 0 ? "s" : `p${index - 1}`));
    expect((await load({ files: ["-"], stdin: chain, directory: folder })).ok).toBe(true);
  });

  test.for([
    ["unknown keys", many(30_000, (index) => `key${index}: v\n`)],
    ["unknown inputs", wired((index) => `q${index}`)],
    ["a circle of thousands", wired((index, count) => `p${(index + 1) % count}`)],
    ["bad expressions", `x-a: |\n${many(100_000, () => "  ${ x\n")}`],
    ["open variables", `x-a: '${"${".repeat(100_000)}'\n`],
  ] as const)("gets a bounded report about %s", async ([, text]) => {
    const result = await load({ files: ["-"], stdin: text, directory: folder });
    expect(result.ok).toBe(false);
    if (!result.ok) expect(result.problems.length).toBeLessThanOrEqual(500);
  });
});
