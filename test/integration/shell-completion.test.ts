import { execFile, spawn, spawnSync } from "node:child_process";
import { once } from "node:events";
import { mkdtemp, readdir, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join, resolve } from "node:path";
import { promisify } from "node:util";
import { beforeAll, describe, expect, it } from "vitest";
import { CliHarness } from "../../src/cli/cli-harness.fake.ts";
import type { Shell } from "../../src/cli/completion.ts";
import { buildProgram, Scenario } from "../e2e/checks.ts";

const run = promisify(execFile);

/** FLOWCTL_TEST_SKIP=zsh,fish leaves them out where they cannot be installed. */
const skipped = new Set((process.env.FLOWCTL_TEST_SKIP ?? "").split(","));

const shells = (["bash", "zsh", "fish"] as const).filter((shell) => !skipped.has(shell));

const flowctl = resolve(import.meta.dirname, "../../dist/flowctl.js");

/** Calls with a folder that has a shell's completion script; fails with what to install when the shell is not there. */
async function withScript<T>(
  shell: Shell,
  scenarioEnv: NodeJS.ProcessEnv,
  use: (folder: string, env: NodeJS.ProcessEnv) => Promise<T>,
): Promise<T> {
  const there = spawnSync(shell, ["-c", "exit 0"]);
  if (there.error !== undefined) {
    throw new Error(`${shell} is not installed: apt-get install ${shell}, or FLOWCTL_TEST_SKIP=${shell}`);
  }
  await using cli = await CliHarness.create({});
  const { stdout: script } = await cli.run("completion", shell);
  const folder = await mkdtemp(join(tmpdir(), "flowctl-completion-"));
  try {
    await writeFile(join(folder, `completion.${shell}`), script);
    const home = { HOME: folder, XDG_CONFIG_HOME: folder, XDG_DATA_HOME: folder, XDG_CACHE_HOME: folder };
    return await use(folder, { ...scenarioEnv, ...home, TERM: "dumb" });
  } finally {
    await rm(folder, { recursive: true, force: true });
  }
}

/** What fish offers for a line. */
async function fishOffers(line: string, scenarioEnv: NodeJS.ProcessEnv = process.env): Promise<readonly string[]> {
  return withScript("fish", scenarioEnv, async (folder, env) => {
    const ask = `function flowctl; ${process.execPath} ${flowctl} $argv; end`;
    const program = `source completion.fish; ${ask}; complete -C '${line}'`;
    const { stdout, stderr } = await run("fish", ["--no-config", "-c", program], { cwd: folder, env });
    expect(stderr).toBe("");
    return stdout.split("\n").flatMap((offer) => (offer === "" ? [] : [offer.split("\t")[0] ?? ""]));
  });
}

/** What bash offers for the last of these words. */
async function bashOffers(words: readonly string[], scenarioEnv: NodeJS.ProcessEnv): Promise<readonly string[]> {
  return withScript("bash", scenarioEnv, async (folder, env) => {
    const program = `
source completion.bash; flowctl() { ${process.execPath} ${flowctl} "$@"; }
COMP_WORDS=(${words.map((word) => `'${word}'`).join(" ")}); COMP_CWORD=${words.length - 1}
_flowctl; printf '%s\\n' "\${COMPREPLY[@]}"`;
    const { stdout, stderr } = await run("bash", ["--norc", "-c", program], { cwd: folder, env });
    expect(stderr).toBe("");
    return stdout.split("\n").filter((offer) => offer !== "");
  });
}

/** How each shell is started without anybody's settings, and made to show what `flowctl` is run with. */
const interactive = {
  bash: {
    start: "bash --norc --noprofile -i",
    ready: (ids: string) =>
      `source ./completion.bash; flowctl() { if [[ $1 = __ids ]]; then ${ids} "$@"; else echo "ran: $* :end"; fi; }; echo rea""dy`,
  },
  zsh: {
    start: "zsh -f -i",
    ready: (ids: string) =>
      `unsetopt beep; autoload -Uz compinit; compinit -u -D; source ./completion.zsh; flowctl() { if [[ $1 = __ids ]]; then ${ids} "$@"; else print -r -- "ran: $* :end"; fi }; print -r -- rea""dy`,
  },
  fish: {
    start: "fish --no-config -i",
    ready: (ids: string) =>
      `source completion.fish; function flowctl; if test "$argv[1]" = __ids; ${ids} $argv; else; echo "ran: $argv :end"; end; end; echo rea""dy`,
  },
} as const;

/** What flowctl is run with when these keys and Enter are pressed at the prompt of a shell, in a terminal. */
async function runsWith(
  shell: Shell,
  keys: string,
  scenarioEnv: NodeJS.ProcessEnv = process.env,
  ids = `${process.execPath} ${flowctl}`,
): Promise<string> {
  return withScript(shell, scenarioEnv, async (folder, env) => {
    const { start, ready } = interactive[shell];
    const terminal = spawn("script", ["--quiet", "--command", start, "/dev/null"], { cwd: folder, env });
    const closed = once(terminal, "close");
    const patience = setTimeout(() => terminal.kill("SIGKILL"), 60_000);
    let seen = "";
    terminal.stdout.setEncoding("utf8");
    const shown = async (pattern: RegExp): Promise<RegExpExecArray> => {
      for (;;) {
        const found = pattern.exec(seen);
        if (found !== null) return found;
        const [more] = await Promise.race([once(terminal.stdout, "data"), closed]);
        if (typeof more !== "string") throw new Error(`${shell} never showed ${pattern}:\n${seen}`);
        seen += more;
      }
    };
    try {
      terminal.stdin.write(`${ready(ids)}\n`);
      await shown(/ready\r?\n/);
      seen = "";
      terminal.stdin.write(`${keys}\n`);
      const [, words = ""] = await shown(/^.*ran: (.*) :end\r?$/m);
      return words.trimEnd();
    } finally {
      terminal.stdin.end("exit\n");
      await closed;
      clearTimeout(patience);
    }
  });
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
    expect(await runsWith("zsh", "flowctl valid\t")).toBe("validate");
    expect(await runsWith("zsh", "flowctl component te\t")).toBe("component test");
    expect(await runsWith("zsh", "flowctl up --deta\t")).toBe("up --detach");
    expect(await runsWith("zsh", "flowctl up --driver p\t")).toBe("up --driver process");
  });
});

/** What anybody may put into a label of a container: the start of each says which is meant. */
function hostileNames(folder: string): Readonly<Record<string, string>> {
  const touch = (name: string): string => `touch ${join(folder, name)}`;
  return {
    substitution: `substitution$(${touch("substituted")})`,
    backquotes: `backquotes\`${touch("backquoted")}\``,
    list: `list;${touch("listed")};`,
    quotes: `quotes'x"y\\z`,
    spaces: "spaces a  b",
    pattern: "pattern*",
    variable: "variable$HOME",
  };
}

describe("completion of names that others chose", () => {
  it.each(shells)("carries nothing of them out, and hands them on as they are, in %s", async (shell) => {
    const folder = await mkdtemp(join(tmpdir(), "flowctl-names-"));
    try {
      const names = hostileNames(folder);
      await writeFile(join(folder, "names"), `${Object.values(names).join("\n")}\n`);
      await writeFile(join(folder, "ids.sh"), `cat ${join(folder, "names")}\n`);
      const ids = `sh ${join(folder, "ids.sh")}`;
      for (const [start, name] of Object.entries(names)) {
        const ran = await runsWith(shell, `flowctl logs ${start}\t`, process.env, ids);
        expect(ran, start).toBe(`logs ${name}`);
      }
      await runsWith(shell, "flowctl logs \t\tlist\t", process.env, ids);
      expect((await readdir(folder)).sort()).toEqual(["ids.sh", "names"]);
    } finally {
      await rm(folder, { recursive: true, force: true });
    }
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
    const ids = ["archive", "archive-1", "archive-2", "control-plane", "numbers"];
    expect([...(await bashOffers(typed.split(" "), env))].sort()).toEqual(ids);
    expect(await bashOffers(["flowctl", "stop", "-f", "comp"], env)).toEqual(["completion.bash"]);
    if (!skipped.has("fish")) expect([...(await fishOffers(typed, env))].sort()).toEqual(ids);
    for (const shell of shells) {
      expect(await runsWith(shell, `${typed}num\t`, env), shell).toBe(`logs -f -p ${name} numbers`);
      expect(await runsWith(shell, "flowctl stop -f comp\t", env), shell).toBe(`stop -f completion.${shell}`);
    }
    await scenario.succeed("down", "-v");
    expect(await scenario.leftovers()).toEqual([]);
    scenario.passed();
  });

  it("offers components with `=`, and no space after it, to scale", async () => {
    await using scenario = await Scenario.on("process", pipeline);
    await scenario.succeed("up", "-d");
    const { env, name } = scenario;
    const typed = `flowctl scale -p ${name} `;
    expect([...(await bashOffers(typed.split(" "), env))].sort()).toEqual(["archive=", "numbers="]);
    if (!skipped.has("fish")) expect([...(await fishOffers(typed, env))].sort()).toEqual(["archive=", "numbers="]);
    for (const shell of shells) {
      expect(await runsWith(shell, `${typed}arch\t3`, env), shell).toBe(`scale -p ${name} archive=3`);
      expect(await runsWith(shell, `${typed}archive=2 num\t4`, env), shell).toBe(
        `scale -p ${name} archive=2 numbers=4`,
      );
      expect(await runsWith(shell, `${typed}archive=\t5`, env), shell).toBe(`scale -p ${name} archive=5`);
    }
    await scenario.succeed("down", "-v");
    scenario.passed();
  });

  it("offers the names of pipelines that run where one is to be named", async () => {
    await using scenario = await Scenario.on("process", pipeline);
    await scenario.succeed("up", "-d");
    await scenario.succeed("up", "-d", "-p", "second");
    const { env, name } = scenario;
    for (const line of ["flowctl ps -p ", "flowctl up --project-name ", "flowctl dead-letters list -p "]) {
      expect(await bashOffers(line.split(" "), env)).toEqual([name, "second"]);
      if (!skipped.has("fish")) expect([...(await fishOffers(line, env))].sort()).toEqual([name, "second"]);
    }
    for (const shell of shells) {
      expect(await runsWith(shell, "flowctl down -p sec\t-v", env), shell).toBe("down -p second -v");
      expect(await runsWith(shell, "flowctl logs --project-name=sec\tnum\t", env), shell).toBe(
        "logs --project-name=second numbers",
      );
    }
    await scenario.succeed("down", "second", "-v");
    await scenario.succeed("down", "-v");
    expect(await scenario.leftovers()).toEqual([]);
    scenario.passed();
  });
});
