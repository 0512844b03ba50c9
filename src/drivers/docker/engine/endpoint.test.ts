import { createHash } from "node:crypto";
import { mkdir, mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { endpointText, parseHost, resolveEndpoint } from "./endpoint.ts";

describe("the address of an engine", () => {
  it.each([
    ["unix:///run/user/1000/docker.sock", "unix:///run/user/1000/docker.sock"],
    ["unix://", "unix:///var/run/docker.sock"],
    ["/tmp/d.sock", "unix:///tmp/d.sock"],
    ["tcp://10.0.0.1:2375", "tcp://10.0.0.1:2375"],
    ["10.0.0.1", "tcp://10.0.0.1:2375"],
    ["tcp://10.0.0.1:2376", "tcp://10.0.0.1:2376"],
    ["ssh://me@host", "ssh://me@host:22"],
  ])("%s means %s", (text, expected) => expect(endpointText(parseHost(text))).toBe(expected));

  it("is refused when it cannot be read", () => {
    expect(() => parseHost("ftp://x")).toThrow(expect.objectContaining({ code: "docker/bad-host" }));
  });
});

describe("finding the engine", () => {
  let folder: string;
  beforeEach(async () => {
    folder = await mkdtemp(join(tmpdir(), "flowctl-endpoint-"));
  });
  afterEach(() => rm(folder, { recursive: true }));

  async function context(name: string, host: string): Promise<void> {
    const id = createHash("sha256").update(name).digest("hex");
    await mkdir(join(folder, "contexts", "meta", id), { recursive: true });
    const meta = { Name: name, Endpoints: { docker: { Host: host } } };
    await writeFile(join(folder, "contexts", "meta", id, "meta.json"), JSON.stringify(meta));
  }

  it("takes the default socket when nothing else is said", async () => {
    expect(await resolveEndpoint({}, folder)).toEqual({ kind: "unix", path: "/var/run/docker.sock" });
  });

  it("takes the current context, then the one of DOCKER_CONTEXT, then DOCKER_HOST", async () => {
    await context("here", "unix:///here.sock");
    await context("there", "unix:///there.sock");
    await writeFile(join(folder, "config.json"), JSON.stringify({ currentContext: "here" }));
    const text = async (env: Record<string, string>) => endpointText(await resolveEndpoint(env, folder));
    expect(await text({})).toBe("unix:///here.sock");
    expect(await text({ DOCKER_CONTEXT: "there" })).toBe("unix:///there.sock");
    expect(await text({ DOCKER_CONTEXT: "there", DOCKER_HOST: "unix:///host.sock" })).toBe("unix:///host.sock");
  });

  it("names a context that does not exist", async () => {
    await expect(resolveEndpoint({ DOCKER_CONTEXT: "gone" }, folder)).rejects.toMatchObject({
      code: "docker/no-context",
      message: expect.stringContaining('"gone"'),
    });
  });
});
