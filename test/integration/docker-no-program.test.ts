import { readFile } from "node:fs/promises";
import { beforeAll, describe, expect, it } from "vitest";
import { buildProgram, Scenario } from "../e2e/checks.ts";
import { runWell } from "../e2e/run-program.ts";

const pipeline = (sink: string): string => `
sources: { ticks: { uses: generator, with: { rate: 10 } } }
sinks:
  out:
    <<: ${sink}
    image: IMAGE
    inputs: [ticks]
`;

beforeAll(buildProgram);

/** The flowctl image, which a first pipeline builds where it is not there: any image with a few programs will do. */
async function someImage(): Promise<string> {
  const { version } = JSON.parse(await readFile(new URL("../../package.json", import.meta.url), "utf8")) as {
    version: string;
  };
  await runWell(process.execPath, ["--import", "tsx", "scripts/build-image.ts"], { timeoutMs: 170_000 });
  return `flowctl:${version}`;
}

describe("a component whose program is not in its image", () => {
  it.each([
    [
      "{ entrypoint: [], command: [nonesuch, --verbose] }",
      "sinks.out.command",
      /`nonesuch` of out does not exist in the image/,
    ],
    [
      "{ entrypoint: /opt/none/such }",
      "sinks.out.entrypoint",
      /`\/opt\/none\/such` of out does not exist in the image/,
    ],
    [
      "{ entrypoint: /etc/passwd }",
      "sinks.out.entrypoint",
      /`\/etc\/passwd` of out is not executable: \/etc\/passwd in the image/,
    ],
  ])("is refused at once with its place: %s", async (line, path, message) => {
    const image = await someImage();
    await using scenario = await Scenario.on("docker", pipeline(line).replace("IMAGE", image));
    const { code, stderr } = await scenario.flowctl("up", "-d");
    expect(code).toBe(3);
    expect(stderr).toMatch(message);
    expect(stderr).toMatch(/^ {2}at {3}flowctl\.yaml:6:\d+$/m);
    expect(stderr).toContain(`  in   ${path}\n`);
    expect(stderr).toContain("  code docker/no-such-program\n");
    const instances = (await scenario.instances()).map(({ component }) => component);
    expect(instances).not.toContain("out");
    scenario.passed();
  });
});
