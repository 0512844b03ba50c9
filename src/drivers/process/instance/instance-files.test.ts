import { mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, expect, test } from "vitest";
import type { Component } from "../../../pipeline/pipeline.ts";
import { pipelinePaths } from "../home/paths.ts";
import { configsFolder, secretsFolder, writeInstanceFiles } from "./instance-files.ts";

const home = mkdtempSync(join(tmpdir(), "flowctl-files-"));
const paths = pipelinePaths(home, "p");
afterEach(() => rmSync(home, { recursive: true, force: true }));

const bytes = (values: Readonly<Record<string, string>>) =>
  new Map(Object.entries(values).map(([key, value]) => [key, Buffer.from(value)]));

async function write(granted: Partial<Component>): Promise<(file: string) => string> {
  const component = { secrets: [], configs: [], ...granted } as unknown as Component;
  const all = { one: "1", two: "2", three: "3" };
  await writeInstanceFiles(paths, "a-1", component, { secretValues: bytes(all), configValues: bytes(all) });
  return (file) => readFileSync(file, "utf8");
}

test("secrets lie under their targets, as in a container, below the folder that stands for /run/secrets", async () => {
  const read = await write({
    secrets: [
      { source: "one", target: "/run/secrets/one" },
      { source: "two", target: "/run/secrets/renamed" },
      { source: "three", target: "/etc/tls/../keys/three" },
    ],
  });
  const folder = secretsFolder(paths, "a-1");
  expect(read(join(folder, "one"))).toBe("1");
  expect(read(join(folder, "renamed"))).toBe("2");
  expect(read(join(folder, "etc/keys/three"))).toBe("3");
});

test("configs of equal base names lie beside each other", async () => {
  const read = await write({
    configs: [
      { source: "one", target: "/etc/a/app.conf" },
      { source: "two", target: "/etc/b/app.conf" },
      { source: "three", target: "/app.conf" },
    ],
  });
  const folder = configsFolder(paths, "a-1");
  expect(read(join(folder, "etc/a/app.conf"))).toBe("1");
  expect(read(join(folder, "etc/b/app.conf"))).toBe("2");
  expect(read(join(folder, "app.conf"))).toBe("3");
});

test("a value that the driver was not given is an error that names it", async () => {
  const granted = { configs: [{ source: "four", target: "/four" }] };
  await expect(write(granted)).rejects.toMatchObject({
    code: "driver/value-missing",
    message: expect.stringContaining('the config "four"'),
  });
});
