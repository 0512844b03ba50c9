import { join, resolve } from "node:path";
import { beforeAll, describe, expect, it } from "vitest";
import { buildProgram } from "./checks.ts";
import { runProgram } from "./run-program.ts";

const program = join(resolve(import.meta.dirname, "../.."), "dist", "flowctl.js");
const shell = (line: string) => runProgram("sh", ["-c", line], { env: { ...process.env, FLOWCTL: program } });

beforeAll(buildProgram);

describe("output", () => {
  it("that cannot be written is a failure that is said", async () => {
    const { code, stderr } = await shell('node "$FLOWCTL" schema > /dev/full');
    expect(code).toBe(1);
    expect(stderr).toContain("Cannot write the output: ENOSPC");
  });

  it("that nobody reads any more is not", async () => {
    expect(await shell('set -o pipefail 2>/dev/null; node "$FLOWCTL" schema | head -1')).toMatchObject({ code: 0 });
  });
});
