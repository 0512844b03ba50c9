import { chmod, mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { type DockerClientConfig, readClientConfig, registryCredentials, registryOf } from "./registry-auth.ts";

const { signal } = new AbortController();
const basic = (user: string, password: string) => ({ auth: Buffer.from(`${user}:${password}`).toString("base64") });
const noHelper = async (): Promise<undefined> => undefined;

describe("the registry of a reference", () => {
  it.each([
    ["alpine", "https://index.docker.io/v1/"],
    ["acme/app:1", "https://index.docker.io/v1/"],
    ["docker.io/acme/app", "https://index.docker.io/v1/"],
    ["ghcr.io/acme/app:1", "ghcr.io"],
    ["localhost/app", "localhost"],
    ["127.0.0.1:5000/app@sha256:00", "127.0.0.1:5000"],
  ])("of %s is %s", (reference, registry) => expect(registryOf(reference)).toBe(registry));
});

describe("credentials", () => {
  it("come from auths, with colons in the password, under a host or an address", async () => {
    const config = { auths: { "https://ghcr.io/v2/": basic("me", "a:b:c") } };
    expect(await registryCredentials(config, "ghcr.io/acme/app", signal, noHelper)).toEqual({
      username: "me",
      password: "a:b:c",
      serveraddress: "ghcr.io",
    });
  });

  it("are not given to another registry", async () => {
    const config = { auths: { "ghcr.io": basic("me", "secret") } };
    expect(await registryCredentials(config, "quay.io/acme/app", signal, noHelper)).toBeUndefined();
    expect(await registryCredentials(config, "acme/app", signal, noHelper)).toBeUndefined();
  });

  it("of Docker Hub are found under its old address", async () => {
    const config = { auths: { "https://index.docker.io/v1/": basic("me", "secret") } };
    expect(await registryCredentials(config, "acme/app", signal, noHelper)).toMatchObject({ username: "me" });
  });

  it("come from the helper of the registry first, then from the default helper where auths has nothing", async () => {
    const asked: string[] = [];
    const ask = async (helper: string, server: string) => {
      asked.push(`${helper} ${server}`);
      return { Username: "helped", Secret: "s" };
    };
    const config: DockerClientConfig = {
      auths: { "ghcr.io": basic("me", "x"), "quay.io": {} },
      credHelpers: { "ghcr.io": "gh" },
      credsStore: "store",
    };
    expect(await registryCredentials(config, "ghcr.io/a", signal, ask)).toMatchObject({ username: "helped" });
    expect(await registryCredentials(config, "quay.io/a", signal, ask)).toMatchObject({ username: "helped" });
    expect(asked).toEqual(["gh ghcr.io", "store quay.io"]);
  });

  it("may be an identity token", async () => {
    const ask = async () => ({ Username: "<token>", Secret: "t" });
    const config = { credHelpers: { "ghcr.io": "gh" } };
    expect(await registryCredentials(config, "ghcr.io/a", signal, ask)).toEqual({
      identitytoken: "t",
      serveraddress: "ghcr.io",
    });
  });

  describe("of real helpers", () => {
    let folder: string;
    const path = process.env.PATH;
    beforeEach(async () => {
      folder = await mkdtemp(join(tmpdir(), "flowctl-helper-"));
      process.env.PATH = `${folder}:${path}`;
    });
    afterEach(async () => {
      process.env.PATH = path;
      await rm(folder, { recursive: true });
    });

    it("are what docker-credential-<name> get prints for the server on its input", async () => {
      const program = join(folder, "docker-credential-flowctltest");
      await writeFile(program, `#!/bin/sh\nread server\nprintf '{"Username":"%s","Secret":"%s"}' "$1" "$server"\n`);
      await chmod(program, 0o755);
      const config = { credHelpers: { "ghcr.io": "flowctltest" } };
      expect(await registryCredentials(config, "ghcr.io/a", signal)).toMatchObject({
        username: "get",
        password: "ghcr.io",
      });
    });

    it("are absent when the helper knows none", async () => {
      const program = join(folder, "docker-credential-flowctltest");
      await writeFile(program, "#!/bin/sh\nexit 1\n");
      await chmod(program, 0o755);
      const config = { credHelpers: { "ghcr.io": "flowctltest" } };
      expect(await registryCredentials(config, "ghcr.io/a", signal)).toBeUndefined();
    });

    it("name the helper that is missing", async () => {
      const config = { credHelpers: { "ghcr.io": "flowctlmissing" } };
      await expect(registryCredentials(config, "ghcr.io/a", signal)).rejects.toMatchObject({
        code: "docker/credential-helper",
        message: expect.stringContaining("docker-credential-flowctlmissing"),
      });
    });
  });
});

describe("the docker client's configuration", () => {
  it("is empty when there is none, and an error when it is broken", async () => {
    const folder = await mkdtemp(join(tmpdir(), "flowctl-config-"));
    expect(await readClientConfig(folder)).toEqual({});
    await writeFile(join(folder, "config.json"), "{");
    await expect(readClientConfig(folder)).rejects.toMatchObject({ code: "docker/bad-config" });
    await rm(folder, { recursive: true });
  });
});
