import { cp, mkdir, mkdtemp, readFile, rm, symlink, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join, resolve } from "node:path";
import { describe, expect, it } from "vitest";
import { commitOf, lastRelease } from "../bench/against/version.ts";
import { type Ended, runProgram, runWell } from "../e2e/run-program.ts";

const repository = resolve(import.meta.dirname, "../..");
const CHANGELOG = `# Changelog

## [Unreleased]

### Added

- A thing.

## [0.0.9] - 2026-01-02

- An older thing.
`;

/** A repository of its own, at version 0.1.0, in which releases can be made. */
class Repository implements AsyncDisposable {
  readonly folder: string;
  // Git and npm are told nothing of the ones that run this test.
  readonly #env = {
    PATH: process.env.PATH,
    HOME: tmpdir(),
    GIT_CONFIG_NOSYSTEM: "1",
    GIT_CONFIG_GLOBAL: "/dev/null",
    ...Object.fromEntries(
      ["AUTHOR", "COMMITTER"].flatMap((who) => [
        [`GIT_${who}_NAME`, "T"],
        [`GIT_${who}_EMAIL`, "t@t"],
      ]),
    ),
  };

  private constructor(folder: string) {
    this.folder = folder;
  }

  static async make(): Promise<Repository> {
    const made = new Repository(await mkdtemp(join(tmpdir(), "flowctl-release-test-")));
    for (const file of [".npmrc", "scripts/changelog.ts", "scripts/generate-docs-version.ts"])
      await cp(join(repository, file), join(made.folder, file), { recursive: true });
    const { scripts } = JSON.parse(await readFile(join(repository, "package.json"), "utf8")) as { scripts: object };
    await made.write(
      "package.json",
      `${JSON.stringify({ name: "x", version: "0.1.0", type: "module", scripts }, null, 2)}\n`,
    );
    await made.write("CHANGELOG.md", CHANGELOG);
    await mkdir(join(made.folder, "docs"));
    await made.write("docs/page.md", "FROM flowctl:0.1.0\n");
    await symlink(join(repository, "node_modules"), join(made.folder, "node_modules"));
    await made.succeed("git", "init", "-q");
    await made.write(".git/info/exclude", "node_modules\n");
    await made.succeed("git", "add", "-A");
    await made.succeed("git", "commit", "-qm", "Begin");
    return made;
  }

  async write(file: string, text: string): Promise<void> {
    await writeFile(join(this.folder, file), text);
  }

  run(command: string, ...args: string[]): Promise<Ended> {
    return runProgram(command, args, { cwd: this.folder, env: this.#env });
  }

  async succeed(command: string, ...args: string[]): Promise<string> {
    return (await runWell(command, args, { cwd: this.folder, env: this.#env })).stdout.trim();
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await rm(this.folder, { recursive: true, force: true });
  }
}

describe("npm version", () => {
  it("makes what is unreleased the section of the new version, commits that and tags it", async () => {
    await using own = await Repository.make();
    await own.succeed("npm", "version", "minor");
    expect(await own.succeed("git", "log", "-1", "--format=%s%n%D")).toMatch(/^Release 0\.2\.0\n.*tag: v0\.2\.0/);
    expect(await own.succeed("git", "status", "--short")).toBe("");
    expect(await readFile(join(own.folder, "docs/page.md"), "utf8")).toBe("FROM flowctl:0.2.0\n");
    expect(await readFile(join(own.folder, "CHANGELOG.md"), "utf8")).toMatch(
      /\n## \[Unreleased\]\n\n## \[0\.2\.0\] - \d{4}-\d\d-\d\d\n\n### Added\n\n- A thing\.\n\n## \[0\.0\.9\]/,
    );
    const notes = ["--import", "tsx", "scripts/changelog.ts", "notes"];
    expect(await own.succeed("node", ...notes, "0.2.0")).toBe("### Added\n\n- A thing.");
    expect(await own.succeed("node", ...notes, "0.0.9")).toBe("- An older thing.");
  });

  it("tags the current version for the first release", async () => {
    await using own = await Repository.make();
    await own.succeed("npm", "version", "--allow-same-version", "0.1.0");
    expect(await own.succeed("git", "tag", "--points-at", "HEAD")).toBe("v0.1.0");
  });

  it.each([
    ["nothing is unreleased", CHANGELOG.replace("- A thing.\n", ""), /lists nothing that is unreleased/],
    ["the version has a section already", CHANGELOG.replaceAll("0.0.9", "0.2.0"), /has a section of 0\.2\.0 already/],
  ])("makes no release where %s", async (_, changelog, said) => {
    await using own = await Repository.make();
    await own.write("CHANGELOG.md", changelog);
    await own.succeed("git", "commit", "-qam", "Change");
    const { code, stderr } = await own.run("npm", "version", "minor");
    expect(stderr).toMatch(said);
    expect(code).not.toBe(0);
    expect(await own.succeed("git", "tag")).toBe("");
  });
});

describe("the release that a benchmark compares with", () => {
  it("is the newest one before the commit, and none where there is none", async () => {
    await using own = await Repository.make();
    expect(await lastRelease(own.folder)).toBe(undefined);
    await own.succeed("npm", "version", "minor");
    await own.write("CHANGELOG.md", CHANGELOG);
    await own.succeed("git", "commit", "-qam", "Add another thing");
    expect(await lastRelease(own.folder)).toBe("v0.2.0");
    await own.succeed("npm", "version", "minor");
    expect(await lastRelease(own.folder)).toBe("v0.2.0");
    expect(await commitOf("v0.3.0", own.folder)).toBe(await own.succeed("git", "rev-parse", "--short", "HEAD"));
    expect(await commitOf("nothing", own.folder)).toBe(undefined);
  });
});
