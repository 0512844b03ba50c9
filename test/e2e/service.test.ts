import { execFile } from "node:child_process";
import { existsSync } from "node:fs";
import { writeFile } from "node:fs/promises";
import { join } from "node:path";
import { promisify } from "node:util";
import { beforeAll, describe, expect, it } from "vitest";
import { buildProgram, Scenario } from "./checks.ts";
import { runProgram } from "./run-program.ts";

/**
 * What systemd would do with the unit is not run here: that needs a machine that was booted by it. Its syntax and its
 * programs are checked by `systemd-analyze verify`, and its two commands are run by hand.
 */
const pipeline = `
sources:
  numbers: { uses: generator, with: { rate: 10 } }
sinks:
  out: { uses: stdout, inputs: [numbers] }
`;

beforeAll(buildProgram);

describe("flowctl service", () => {
  it("prints a unit whose commands start the pipeline and stop it", async () => {
    await using scenario = await Scenario.on("process", pipeline);
    const text = await scenario.succeed("service", "install", "--user", "--print");
    expect(existsSync(join(scenario.folder, ".config/systemd"))).toBe(false);
    const entries = text
      .split("\n")
      .map((line) => [line.slice(0, line.indexOf("=")), line.slice(line.indexOf("=") + 1)] as const);
    const valueIn = (key: string) => entries.find(([name]) => name === key)?.[1] ?? "";
    expect(valueIn("Type")).toBe("oneshot");
    expect(valueIn("RemainAfterExit")).toBe("yes");
    // Nothing but what the unit gives it, in another folder.
    const environment = Object.fromEntries(
      entries
        .filter(([name]) => name === "Environment")
        .map(([, value]) => value.replace(/^"|"$/g, "").split(/=(.*)/s)),
    );
    const run = (command: string) => runProgram("/bin/sh", ["-c", command], { cwd: "/", env: environment });
    const started = await run(valueIn("ExecStart"));
    expect(started.code, started.stderr).toBe(0);
    expect((await scenario.instances()).find(({ instance }) => instance === "out-1")?.state).toMatch(
      /^(starting|healthy)$/,
    );
    const stopped = await run(valueIn("ExecStop"));
    expect(stopped.code, stopped.stderr).toBe(0);
    expect((await scenario.instances()).find(({ instance }) => instance === "out-1")?.state).toBe("stopped");
    await scenario.succeed("down", "-v");
    scenario.passed();
  });

  it("refuses to write it where systemd does not run, and says what to do instead", async ({ skip }) => {
    if (existsSync("/run/systemd/system")) skip("systemd runs here");
    await using scenario = await Scenario.on("process", pipeline);
    const { code, stderr } = await scenario.flowctl("service", "install", "--user");
    expect(code, stderr).toBe(4);
    expect(stderr).toContain("code cli/no-systemd");
    expect(existsSync(join(scenario.folder, ".config/systemd"))).toBe(false);
    // As it says, for another machine.
    const [, command = ""] = /`flowctl (service install --print) > \S+`/.exec(stderr) ?? [];
    expect(await scenario.succeed(...command.split(" "))).toContain("[Service]");
    scenario.passed();
  });

  it("writes what systemd finds nothing to complain of", async ({ skip }) => {
    const analyze = "/usr/bin/systemd-analyze";
    if (!existsSync(analyze)) skip("there is no systemd-analyze");
    await using scenario = await Scenario.on("process", pipeline);
    const path = join(scenario.folder, `flowctl-${scenario.name}.service`);
    await writeFile(path, await scenario.succeed("service", "install", "--user", "--print"));
    const { stdout, stderr } = await promisify(execFile)(analyze, ["verify", "--user", path], {
      env: { ...process.env, XDG_RUNTIME_DIR: scenario.folder },
    });
    expect(stdout + stderr).not.toContain(scenario.name);
    scenario.passed();
  });
});
