import { readFile } from "node:fs/promises";
import { join } from "node:path";
import { Ajv } from "ajv";
import addFormatsModule from "ajv-formats";
import { describe, expect, it } from "vitest";
import { parse } from "yaml";
import { CliHarness } from "../cli-harness.fake.ts";

describe("the JSON Schema for editors", () => {
  it("is printed, and is beside a starter pipeline, which names it by a path and keeps to it", async () => {
    await using cli = await CliHarness.create({});
    const { code, stdout } = await cli.run("schema");
    expect(code).toBe(0);
    expect((await cli.run("init")).code).toBe(0);
    const starter = await readFile(join(cli.folder, "flowctl.yaml"), "utf8");
    const [, path] = /^# yaml-language-server: \$schema=(.+)$/m.exec(starter) ?? [];
    expect(path).toMatch(/^\.\//);
    expect(await readFile(join(cli.folder, path as string), "utf8")).toBe(stdout);
    const keeps = addFormatsModule.default(new Ajv({ strict: false })).compile(JSON.parse(stdout));
    expect(keeps(parse(starter)), JSON.stringify(keeps.errors)).toBe(true);
    expect(keeps({ ...parse(starter), sink: {} })).toBe(false);
  });
});
