import { execFile } from "node:child_process";
import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { promisify } from "node:util";
import { describe, expect, it } from "vitest";
import { CliHarness } from "./cli-harness.fake.ts";

const run = promisify(execFile);

async function script(shell: string): Promise<string> {
  await using cli = await CliHarness.create({});
  const { code, stdout } = await cli.run("completion", shell);
  expect(code).toBe(0);
  return stdout;
}

/** What bash offers when Tab is pressed after these words. */
async function complete(...words: string[]): Promise<readonly string[]> {
  const folder = await mkdtemp(join(tmpdir(), "flowctl-completion-"));
  try {
    await writeFile(join(folder, "completion.bash"), await script("bash"));
    const quoted = ["flowctl", ...words].map((word) => `'${word}'`).join(" ");
    const program = `source completion.bash; COMP_WORDS=(${quoted}); COMP_CWORD=${words.length}; _flowctl; printf '%s\\n' "\${COMPREPLY[@]}"`;
    const { stdout } = await run("bash", ["-c", program], { cwd: folder });
    return stdout.split("\n").filter((line) => line !== "");
  } finally {
    await rm(folder, { recursive: true, force: true });
  }
}

describe("bash completion", () => {
  it("offers commands, their options, and the values of options", async () => {
    expect(await complete("va")).toEqual(["validate"]);
    expect(await complete("up", "--de")).toEqual(["--detach"]);
    expect(await complete("up", "--driver", "p")).toEqual(["process"]);
    expect(await complete("component", "te")).toEqual(["test"]);
    expect(await complete("component", "test", "--im")).toEqual(["--image"]);
  });

  it("offers files where nothing else fits", async () => {
    expect(await complete("validate", "comp")).toEqual(["completion.bash"]);
  });
});

describe("completion", () => {
  it("knows every command in zsh and fish, too", async () => {
    for (const shell of ["zsh", "fish"]) {
      const text = await script(shell);
      for (const name of ["up", "run", "down", "validate", "scale"]) expect(text, shell).toContain(name);
    }
  });

  it("refuses another shell with 2", async () => {
    await using cli = await CliHarness.create({});
    expect((await cli.run("completion", "tcsh")).code).toBe(2);
  });
});
