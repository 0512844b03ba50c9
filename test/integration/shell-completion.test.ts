import { spawnSync } from "node:child_process";
import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join, resolve } from "node:path";
import { beforeAll, describe, expect, it } from "vitest";
import { CliHarness } from "../../src/cli/cli-harness.fake.ts";
import { buildProgram, Scenario } from "../e2e/checks.ts";

/** FLOWCTL_TEST_SKIP=zsh,fish leaves them out where they cannot be installed. */
const skipped = new Set((process.env.FLOWCTL_TEST_SKIP ?? "").split(","));

const flowctl = resolve(import.meta.dirname, "../../dist/flowctl.js");

/** Runs a program of a shell in a folder with its completion script; fails with what to install when it is not there. */
async function inShell(
  shell: "bash" | "zsh" | "fish",
  args: (program: string) => readonly string[],
  program: string,
  scenarioEnv: NodeJS.ProcessEnv = process.env,
): Promise<string> {
  await using cli = await CliHarness.create({});
  const { stdout: script } = await cli.run("completion", shell);
  const folder = await mkdtemp(join(tmpdir(), "flowctl-completion-"));
  try {
    await writeFile(join(folder, `completion.${shell}`), script);
    const env = { ...scenarioEnv, HOME: folder, XDG_CONFIG_HOME: folder, XDG_DATA_HOME: folder, TERM: "dumb" };
    const ended = spawnSync(shell, args(program), { cwd: folder, env, encoding: "utf8", timeout: 60_000 });
    if (ended.error !== undefined && "code" in ended.error && ended.error.code === "ENOENT") {
      throw new Error(`${shell} is not installed: apt-get install ${shell}, or FLOWCTL_TEST_SKIP=${shell}`);
    }
    expect(ended.stderr).toBe("");
    return ended.stdout;
  } finally {
    await rm(folder, { recursive: true, force: true });
  }
}

/** What fish offers for a line. */
async function fishOffers(line: string, env?: NodeJS.ProcessEnv): Promise<readonly string[]> {
  const ask = `function flowctl; ${process.execPath} ${flowctl} $argv; end`;
  const program = `source completion.fish; ${ask}; complete -C '${line}'`;
  const said = await inShell("fish", (text) => ["--no-config", "-c", text], program, env);
  return said.split("\n").flatMap((offer) => (offer === "" ? [] : [offer.split("\t")[0] ?? ""]));
}

/** The line that zsh runs when Tab and Enter are pressed after what is typed, in a terminal. */
async function zshCompletes(typed: string, env?: NodeJS.ProcessEnv): Promise<string> {
  const program = `
zmodload zsh/zpty
zpty shell 'zsh -f -i'
zpty -w shell 'unsetopt beep; PROMPT=; autoload -Uz compinit; compinit -u -D; source ./completion.zsh'
zpty -w shell 'flowctl() { if [[ $1 = __ids ]]; then ${process.execPath} ${flowctl} "$@"; else print -r -- "ran: $* :end"; fi }; print -r -- rea""dy'
zpty -r -m shell said '*ready*' || exit 1
zpty -w shell $'${typed}\\t'
zpty -r -m shell said '*ran: * :end*' || exit 1
print -r -- "$said"
zpty -d shell
`;
  const said = await inShell("zsh", (text) => ["-f", "-c", text], program, env);
  return /ran: (.*) :end/.exec(said)?.[1]?.trim() ?? said;
}

describe.skipIf(skipped.has("fish"))("fish completion", () => {
  it("loads, and offers commands, those below them, options and their values", async () => {
    expect(await fishOffers("flowctl valid")).toEqual(["validate"]);
    expect(await fishOffers("flowctl component te")).toEqual(["test"]);
    expect(await fishOffers("flowctl up --deta")).toEqual(["--detach"]);
    expect(await fishOffers("flowctl up --driver p")).toEqual(["process"]);
  });
});

describe.skipIf(skipped.has("zsh"))("zsh completion", () => {
  it("loads, and completes commands, those below them, options and their values", async () => {
    expect(await zshCompletes("flowctl valid")).toBe("validate");
    expect(await zshCompletes("flowctl component te")).toBe("component test");
    expect(await zshCompletes("flowctl up --deta")).toBe("up --detach");
    expect(await zshCompletes("flowctl up --driver p")).toBe("up --driver process");
  });
});

describe("completion of ids, by the program itself", () => {
  beforeAll(buildProgram);

  const pipeline = `
sources: { numbers: { uses: generator, with: { rate: 1 } } }
sinks: { archive: { uses: discard, inputs: [numbers], deploy: { replicas: 2 } } }
`;

  it("offers those of the running pipeline in every shell, and files where an option takes one", async () => {
    await using scenario = await Scenario.on("process", pipeline);
    await scenario.succeed("up", "-d");
    const { env, name } = scenario;
    const typed = `flowctl logs -f -p ${name} `;
    const words = [...typed.trimEnd().split(" "), ""];
    const program = `
source completion.bash; flowctl() { ${process.execPath} ${flowctl} "$@"; }
COMP_WORDS=(${words.map((word) => `'${word}'`).join(" ")}); COMP_CWORD=${words.length - 1}
_flowctl; printf '%s\\n' "\${COMPREPLY[@]}"`;
    const ids = ["archive", "archive-1", "archive-2", "control-plane", "numbers"];
    const bash = await inShell("bash", (text) => ["--norc", "-c", text], program, env);
    expect(bash.trimEnd().split("\n").sort()).toEqual(ids);
    if (!skipped.has("fish")) {
      expect([...(await fishOffers(typed, env))].sort()).toEqual(ids);
      expect(await fishOffers("flowctl stop -f comp", env)).toEqual(["completion.fish"]);
    }
    if (!skipped.has("zsh")) {
      expect(await zshCompletes(`${typed}num`, env)).toBe(`logs -f -p ${name} numbers`);
      expect(await zshCompletes("flowctl stop -f comp", env)).toBe("stop -f completion.zsh");
    }
    await scenario.succeed("down", "-v");
    expect(await scenario.leftovers()).toEqual([]);
    scenario.passed();
  });
});
