import { readdir, readFile } from "node:fs/promises";
import { join } from "node:path";
import { describe, expect, it } from "vitest";
import { CliHarness } from "./cli-harness.fake.ts";

describe("init", () => {
  it.each(["flowctl.yml", "pipeline.yaml"])(
    "refuses to put a pipeline file beside %s, which would then count no more",
    async (file) => {
      await using cli = await CliHarness.create({ [`there/${file}`]: "sources: {}\n" });
      const { code, stderr } = await cli.run("init", "there");
      expect(code).toBe(6);
      expect(stderr).toContain(`${file} is a pipeline file already`);
      expect(await readdir(join(cli.folder, "there"))).toEqual([file]);
      expect(await cli.run("init", "there", "--force")).toMatchObject({ code: 0 });
      expect(await readFile(join(cli.folder, "there", "flowctl.yaml"), "utf8")).toContain("sources:");
    },
  );
});
