import { chmod, mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { FlowctlError } from "../foundation/errors.ts";
import { requireSecretProgram, runSecretCommand } from "./secret-command.ts";

const never = new AbortController().signal;
let directory: string;
beforeAll(async () => {
  directory = await mkdtemp(join(tmpdir(), "flowctl-secret-command-"));
});
afterAll(() => rm(directory, { recursive: true, force: true }));

function printed(code: string, options: Partial<Parameters<typeof runSecretCommand>[2]> = {}): Promise<string> {
  const argv = [process.execPath, "-e", code] as const;
  const { PATH, HOME } = process.env;
  return runSecretCommand("key", [...argv], { directory, env: { PATH, HOME }, signal: never, ...options }).then(
    (value) => Buffer.from(value).toString("latin1"),
  );
}

const write = (text: string): string => `process.stdout.write(${JSON.stringify(text)})`;

async function failure(work: Promise<unknown>): Promise<FlowctlError> {
  const error = await work.then(
    () => undefined,
    (reason: unknown) => reason,
  );
  if (error instanceof FlowctlError) return error;
  throw new Error("it did not fail");
}

describe("the command of a secret", () => {
  it.each([
    ["hunter2", "hunter2"],
    ["hunter2\n", "hunter2"],
    ["hunter2\r\n", "hunter2"],
    ["hunter2\n\n", "hunter2\n"],
    ["two\nlines\n", "two\nlines"],
    [" spaces ", " spaces "],
    ["\u0000\u00ff", "\u0000\u00c3\u00bf"],
  ])("prints %j, and the value is %j: one line break at the end is not part of it", async (text, value) => {
    expect(await printed(write(text))).toBe(value);
  });

  it("runs in the folder of the file, without a shell, with the given environment and no input", async () => {
    const env = { PATH: process.env.PATH, TOKEN: "t" };
    const code = `console.log(JSON.stringify([process.cwd(), process.argv[1], process.env.TOKEN, require("fs").readFileSync(0, "utf8")]))`;
    const argv = [process.execPath, "-e", code, "$HOME;*"] as const;
    const value = await runSecretCommand("key", [...argv], { directory, env, signal: never });
    expect(JSON.parse(Buffer.from(value).toString())).toEqual([directory, "$HOME;*", "t", ""]);
  });

  it("shows what it wrote to standard error when it fails, and nothing of its output", async () => {
    const code = `${write("s3cret-value\n")}; process.stderr.write("+ echo s3cret-value\\n\\u001b[31mnot signed in\\u001b[0m\\n"); process.exitCode = 3`;
    const error = await failure(printed(code));
    expect(error).toMatchObject({ code: "cli/secret-command-failed", kind: "failed", path: "secrets.key.command" });
    expect(error.message).toContain("exit code 3: + echo ***; not signed in");
    expect(error.fix).toContain(process.execPath);
    expect(JSON.stringify([error, error.message, error.fix, String(error.cause)])).not.toContain("s3cret-value");
  });

  it.each(["", "\n", "\r\n"])("fails when it prints %j", async (text) => {
    expect(await failure(printed(write(text)))).toMatchObject({ code: "cli/secret-command-empty", kind: "invalid" });
  });

  it("fails when it prints more than a secret may have, and prints that much", async () => {
    expect((await printed(`process.stdout.write("x".repeat(500 * 1024) + "\\n")`)).length).toBe(500 * 1024);
    const error = await failure(printed(`setInterval(() => process.stdout.write("x".repeat(100_000)), 1)`));
    expect(error).toMatchObject({ code: "cli/secret-command-too-large" });
  });

  it("is killed when it takes too long, also where what it has started holds its output open", async () => {
    const code = `require("child_process").spawn(process.execPath, ["-e", "setTimeout(() => {}, 20000)"], { stdio: "inherit", detached: true }).unref(); process.stderr.write("waiting"); setInterval(() => {}, 1000)`;
    const error = await failure(printed(code.replace("20000", "500"), { timeLimitMs: 400 }));
    expect(error).toMatchObject({ code: "cli/secret-command-timeout", kind: "timeout" });
  });

  it("ends with the command that runs it", async () => {
    const controller = new AbortController();
    const work = failure(printed("setInterval(() => {}, 1000)", { signal: controller.signal }));
    controller.abort();
    expect(await work).toMatchObject({ kind: "cancelled" });
  });

  it("says which program is not there, or cannot be executed", async () => {
    const file = join(directory, "plain.txt");
    await writeFile(file, "#!/bin/sh\n");
    const options = { directory, env: process.env, signal: never };
    for (const program of ["no-such-program-at-all", file]) {
      const expected = { code: "cli/secret-command-not-found", message: expect.stringContaining(program) as string };
      expect(await failure(runSecretCommand("key", [program], options))).toMatchObject(expected);
      expect(() => requireSecretProgram("key", [program], options)).toThrow(program);
    }
    await chmod(file, 0o755);
    requireSecretProgram("key", [file], options);
    requireSecretProgram("key", ["node"], { env: process.env });
  });
});
