import { chmod } from "node:fs/promises";
import { join } from "node:path";
import { describe, expect, it } from "vitest";
import { CliHarness } from "../cli-harness.fake.ts";

const FILE = `
name: demo
sources: { numbers: { uses: generator } }
sinks: { out: { uses: discard, inputs: [numbers] } }
`;

describe("up --authority", () => {
  it("warns where others can read the file, before anything starts, and says what to do", async () => {
    await using cli = await CliHarness.create({ "flowctl.yaml": FILE, "acme.pem": "a key" });
    const path = join(cli.folder, "acme.pem");
    const warned = async (mode: number): Promise<string> => {
      await chmod(path, mode);
      return (await cli.run("up", "--dry-run", "--authority", "acme.pem")).stderr;
    };
    for (const mode of [0o644, 0o640]) {
      expect(await warned(mode)).toContain(
        `warning: ${path} can be read by other users of this machine\n  fix  Run \`chmod 600 ${path}\`\n`,
      );
    }
    for (const mode of [0o600, 0o400]) expect(await warned(mode)).not.toContain("warning");
  });
});
