import { cp, mkdtemp, readFile, rm, symlink, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join, resolve } from "node:path";
import { afterAll, afterEach, describe, expect, it } from "vitest";
import { connectEngine } from "../../src/drivers/docker/engine/engine.ts";
import { buildFlowctlImage, ensureFlowctlImage } from "../../src/drivers/docker/image/flowctl-image.ts";
import { makeCertificates } from "../bench/streams/certificates.ts";
import { docker } from "../conformance/docker-fixture.ts";
import { uniqueName } from "../conformance/driver-pipelines.ts";
import { eventually } from "../conformance/driver-world.ts";

const repository = resolve(import.meta.dirname, "../..");
const version = `0.0.0-${uniqueName()}`;
const reference = `flowctl:${version}`;
const { signal } = new AbortController();

async function build(packageRoot: string, environment: Record<string, string | undefined> = process.env) {
  const said: string[] = [];
  const image = await ensureFlowctlImage(await connectEngine(process.env), {
    ...{ packageRoot, version, environment, clientConfig: {}, build: false, signal, keepSupersededMs: 0 },
    progress: ({ text }) => said.push(text),
  });
  return { image, said };
}

/** A copy of the package, whose programs can be changed. */
async function packageCopy(): Promise<string> {
  const folder = await mkdtemp(join(tmpdir(), "flowctl-package-"));
  for (const name of ["dist", "proto"]) await cp(join(repository, name), join(folder, name), { recursive: true });
  for (const name of ["package.json", "images", "node_modules"])
    await symlink(join(repository, name), join(folder, name));
  return folder;
}

const copies: string[] = [];
afterEach(async () => {
  for (const folder of copies.splice(0)) await rm(folder, { recursive: true });
});
afterAll(() => docker("rmi", "-f", reference));

describe("the flowctl image", () => {
  it("is built of the installed package, and only when that has changed", async () => {
    const folder = await packageCopy();
    copies.push(folder);
    const first = await build(folder);
    expect(first.said).toContain("Building");
    expect(await build(folder)).toEqual({ image: first.image, said: [] });
    await writeFile(join(folder, "dist", "flowctl-OLDER.cjs"), "");
    expect((await build(folder)).said).toEqual([]);
    await writeFile(join(folder, "dist", "component.js"), "// changed");
    const changed = await build(folder);
    expect(changed.said).toContain("Building");
    expect(changed.image.reference).not.toBe(first.image.reference);
    expect(await docker("images", "-q", "--no-trunc", "--filter", "dangling=true")).not.toContain(
      first.image.reference,
    );
  });

  it("is small, runs as a user of its own, and lets that user change nothing but its data", async () => {
    await build(repository);
    const [size, user] = (await docker("inspect", "-f", "{{.Size}} {{.Config.User}}", reference)).split(" ");
    expect(Number(size)).toBeLessThan(130e6);
    expect(user).toBe("10001:10001");
    const script = `
      const { accessSync, constants, statSync } = require("node:fs");
      const writable = (path) => { try { accessSync(path, constants.W_OK); return true; } catch { return false; } };
      const owner = (path) => statSync(path).uid;
      console.log(JSON.stringify({
        uid: process.getuid(),
        writable: ["/", "/opt/flowctl", "/opt/flowctl/dist/component.js", "/var/lib/flowctl/state"].filter(writable),
        owners: ["/var/lib/flowctl", "/var/lib/flowctl/state", "/opt/flowctl"].map(owner),
      }));`;
    expect(JSON.parse(await docker("run", "--rm", "--entrypoint", "node", reference, "-e", script))).toEqual({
      uid: 10001,
      writable: ["/var/lib/flowctl/state"],
      owners: [10001, 10001, 0],
    });
  });

  it("has its components trust whom this machine trusts, and read the certificates only when they need them", async () => {
    const { folder, dispose } = await makeCertificates();
    try {
      const [key, certificate] = await Promise.all(
        ["key.pem", "certificate.pem"].map((name) => readFile(join(folder, name), "utf8")),
      );
      await build(repository, { ...process.env, NODE_EXTRA_CA_CERTS: join(folder, "ca.pem") });
      const script = `
        const https = require("node:https");
        const server = https.createServer({ key: process.env.KEY, cert: process.env.CERTIFICATE }, (_, answer) => answer.end("trusted"));
        server.listen(0, "127.0.0.1", async () => {
          console.log(await fetch("https://127.0.0.1:" + server.address().port).then((answer) => answer.text(), (error) => error.cause.code));
          console.log(process.env.NODE_EXTRA_CA_CERTS);
          process.exit();
        });`;
      const entrypoint = JSON.parse(
        await docker("inspect", "-f", "{{json .Config.Entrypoint}}", reference),
      ) as string[];
      const [program, ...options] = entrypoint.slice(0, -1);
      const run = ["run", "--rm", "-e", `KEY=${key}`, "-e", `CERTIFICATE=${certificate}`, "--entrypoint", program!];
      expect(await docker(...run, reference, ...options, "-e", script)).toBe("trusted\nundefined");
    } finally {
      await dispose();
    }
  });

  it("runs the control plane, whose health the engine checks", async () => {
    await build(repository);
    const flags = ["--read-only", "--tmpfs", "/tmp", "-v", "/var/lib/flowctl", "-e", "FLOWCTL_PIPELINE=p"];
    const health = ["-e", "FLOWCTL_HEALTH_PORT=8081", "--entrypoint", "node"];
    const id = await docker("run", "-d", ...flags, ...health, reference, "/opt/flowctl/dist/control-plane.js");
    try {
      await eventually(async () => {
        expect(await docker("inspect", "-f", "{{.State.Health.Status}}", id)).toBe("healthy");
      });
    } finally {
      await docker("rm", "-fv", id);
    }
  });

  it("is built here when the registry of the wanted one does not answer", async () => {
    const { image, said } = await build(repository, { ...process.env, FLOWCTL_IMAGE: "127.0.0.1:1/acme/flowctl:1" });
    expect(image.name).toBe(reference);
    expect(said).toContain("Not in any registry; building locally");
  });

  it("is the one that FLOWCTL_IMAGE names when the engine has that", async () => {
    await build(repository);
    const named = `flowctl-named:${version}`;
    await docker("tag", reference, named);
    const { image, said } = await build(repository, { ...process.env, FLOWCTL_IMAGE: named });
    expect(image.name).toBe(named);
    expect(said).toEqual([]);
    await docker("rmi", named);
  });

  it("cannot be built of a package without programs, and the error says what to do", async () => {
    const folder = await packageCopy();
    copies.push(folder);
    await rm(join(folder, "dist", "control-plane.js"));
    const engine = await connectEngine(process.env);
    const options = { packageRoot: folder, version, environment: {}, clientConfig: {}, build: true, signal };
    await expect(buildFlowctlImage(engine, { ...options, progress: () => undefined })).rejects.toMatchObject({
      code: "docker/package-not-built",
      fix: expect.stringContaining("npm run build"),
    });
  });
});
