import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { readSettings } from "./settings.ts";

let folder = "";
beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), "flowctl-settings-"));
});
afterEach(() => rm(folder, { recursive: true, force: true }));

const withConfig = async (text: string): Promise<Record<string, string>> => {
  const path = join(folder, "config.yaml");
  await writeFile(path, text);
  return { FLOWCTL_CONFIG_FILE: path };
};

describe("settings", () => {
  it("are the defaults when nothing is said", async () => {
    expect(await readSettings({}, { XDG_CONFIG_HOME: folder })).toEqual({
      ...{ driver: undefined, driverFrom: undefined, usualDriver: undefined, files: [], filesAreFlags: false },
      ...{ name: undefined, envFile: undefined, access: undefined, metrics: "open", profiles: [] },
      ...{ logLevel: "info", persistence: true, insecure: false, progress: "auto", json: false, quiet: false },
    });
  });

  it("come from flags before environment before config file", async () => {
    const env = await withConfig("driver: docker\nlog_level: error\nprofiles: [file]\n");
    expect(await readSettings({}, env)).toMatchObject({
      ...{ driver: undefined, usualDriver: "docker", logLevel: "error", profiles: ["file"] },
    });
    const more = { ...env, FLOWCTL_DRIVER: "process", FLOWCTL_LOG_LEVEL: "warn", FLOWCTL_PROFILES: "a,b" };
    expect(await readSettings({}, more)).toMatchObject({
      ...{ driver: "process", driverFrom: "FLOWCTL_DRIVER", logLevel: "warn", profiles: ["a", "b"] },
    });
    const flags = { driver: "docker", logLevel: "debug", profile: ["c"] } as const;
    expect(await readSettings(flags, more)).toMatchObject({
      ...{ driver: "docker", driverFrom: "--driver", logLevel: "debug", profiles: ["c"] },
    });
  });

  it("keep state in memory when the flag or the environment says so", async () => {
    const env = { XDG_CONFIG_HOME: folder };
    expect(await readSettings({ persistence: true }, env)).toMatchObject({ persistence: true });
    expect(await readSettings({ persistence: false }, env)).toMatchObject({ persistence: false });
    expect(await readSettings({ persistence: true }, { ...env, FLOWCTL_PERSISTENCE: "memory" })).toMatchObject({
      persistence: false,
    });
  });

  it("refuse a wrong value of a variable and of the config file, by name", async () => {
    const env = { XDG_CONFIG_HOME: folder, FLOWCTL_DRIVER: "dokcer" };
    await expect(readSettings({}, env)).rejects.toMatchObject({ code: "cli/environment", kind: "invalid" });
    const file = await withConfig("drvier: docker\n");
    await expect(readSettings({}, file)).rejects.toMatchObject({ code: "cli/config-file", kind: "invalid" });
    await expect(readSettings({}, await withConfig("a: [\n"))).rejects.toMatchObject({
      code: "cli/config-file",
      fix: expect.stringContaining("Fix its YAML, or remove it: `rm /"),
    });
    await expect(readSettings({}, { FLOWCTL_CONFIG_FILE: join(folder, "none") })).rejects.toMatchObject({
      code: "cli/config-file",
      fix: expect.stringContaining("FLOWCTL_CONFIG_FILE"),
    });
  });
});
