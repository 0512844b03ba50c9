import { spawnSync } from "node:child_process";
import { mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join, resolve } from "node:path";
import { describe, expect, it } from "vitest";
import { notPinned } from "../../scripts/lint/pinned.mjs";

const repository = resolve(import.meta.dirname, "../..");

/** The lines of a file that the project's own rules refuse. */
async function refusedLines(source: readonly string[]): Promise<readonly number[]> {
  const config = JSON.parse(await readFile(join(repository, "biome.json"), "utf8")) as { plugins: string[] };
  const folder = await mkdtemp(join(tmpdir(), "flowctl-lint-"));
  try {
    const plugins = config.plugins.map((path) => resolve(repository, path));
    await writeFile(join(folder, "biome.json"), JSON.stringify({ plugins }));
    await writeFile(join(folder, "sample.ts"), `${source.join("\n")}\n`);
    const biome = join(repository, "node_modules/.bin/biome");
    const { stdout } = spawnSync(biome, ["lint", "--reporter=github", "sample.ts"], { cwd: folder, encoding: "utf8" });
    return stdout.split("\n").flatMap((line) => {
      return line.includes("withDeadline") ? [Number(/line=(\d+)/.exec(line)?.[1])] : [];
    });
  } finally {
    await rm(folder, { recursive: true, force: true });
  }
}

describe("the rule against timeouts that are collected", () => {
  it("refuses a timeout in AbortSignal.any, written there or held in a variable", async () => {
    const source = [
      "export const direct = (signal: AbortSignal) => AbortSignal.any([signal, AbortSignal.timeout(5)]);",
      "export function held(signal: AbortSignal, ms?: number): AbortSignal {",
      "  const late = ms === undefined ? undefined : AbortSignal.timeout(ms);",
      "  return late === undefined ? signal : AbortSignal.any([signal, late]);",
      "}",
    ];
    expect(await refusedLines(source)).toEqual([1, 4]);
  });

  it("allows what somebody holds", async () => {
    const source = [
      "export function linked(signal: AbortSignal, stop: AbortController): AbortSignal {",
      "  return AbortSignal.any([signal, stop.signal]);",
      "}",
      "export const alone = (ms: number): AbortSignal => AbortSignal.timeout(ms);",
    ];
    expect(await refusedLines(source)).toEqual([]);
  });
});

describe("the rule that what is fetched is named by its content", () => {
  const commit = "11bd71901bbe5b1630ceea73d27597364c9af683";
  const digest = `sha256:${"0a".repeat(32)}`;

  it.each([
    ["a tag of an action", "steps: [{ uses: actions/checkout@v4 }]"],
    ["a quoted key", 'steps:\n  - "uses": actions/checkout@v4'],
    ["a commit without its version", `steps:\n  - uses: actions/checkout@${commit}`],
    ["an image as an action", "steps:\n  - uses: docker://debian:13"],
    ["the image of a job", "jobs: { a: { container: debian:13 } }"],
    ["the same in long form", "jobs: { a: { container: { image: debian:13 } } }"],
    ["the image of a service", "jobs: { a: { services: { db: { image: postgres:16 } } } }"],
    ["the image that is built on", "env:\n  FLOWCTL_BASE_IMAGE: node:22"],
  ])("refuses %s", (_, text) => {
    expect(notPinned(text)).toHaveLength(1);
  });

  it.each([
    ["an action by commit", `steps:\n  - uses: actions/checkout@${commit} # v4.2.2`],
    ["one of this repository", "steps: [{ uses: ./ }]"],
    ["an image by digest", `jobs: { a: { container: "debian@${digest}" } }`],
    ["a job of that name", "jobs:\n  image:\n    steps: []"],
  ])("lets %s pass", (_, text) => {
    expect(notPinned(text)).toEqual([]);
  });
});
