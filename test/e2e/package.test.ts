import { spawnSync } from "node:child_process";
import {
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { join, resolve } from "node:path";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { driversUnderTest } from "./drivers-under-test.ts";
import { runProgram, runWell } from "./run-program.ts";

const root = resolve(import.meta.dirname, "../..");
let work: string;
let tarball: string;
let installed: string;
let environment: NodeJS.ProcessEnv;

beforeAll(async () => {
  work = mkdtempSync(join(tmpdir(), "flowctl-package-"));
  await runWell("npm", ["pack", "--silent", "--pack-destination", work], { cwd: root });
  tarball = join(work, readdirSync(work).find((name) => name.endsWith(".tgz")) ?? "no tarball");
  const prefix = join(work, "prefix");
  const install = ["install", "--global", "--prefix", prefix, "--prefer-offline", "--no-audit", "--no-fund", tarball];
  await runWell("npm", install, { cwd: work, timeoutMs: 240_000 });
  installed = join(prefix, "lib/node_modules/flowctl");
  environment = {
    PATH: `${join(prefix, "bin")}:${process.env.PATH}`,
    HOME: join(work, "home"),
    FLOWCTL_HOME: join(work, "state"),
    NO_COLOR: "1",
    ...(process.env.DOCKER_HOST === undefined ? {} : { DOCKER_HOST: process.env.DOCKER_HOST }),
  };
  mkdirSync(join(work, "home"));
});

afterAll(() => rmSync(work, { recursive: true, force: true }));

describe("the tarball", () => {
  it("holds what a user needs, and neither sources nor tests", () => {
    const listed = spawnSync("tar", ["-tzf", tarball], { encoding: "utf8" }).stdout.trim().split("\n");
    const files = listed.map((name) => name.replace(/^package\//, ""));
    for (const name of ["flowctl", "component", "control-plane", "supervisor", "sdk"]) {
      expect(files).toContain(`dist/${name}.js`);
    }
    for (const name of [
      "package.json",
      "README.md",
      "LICENSE",
      "CHANGELOG.md",
      "dist/THIRD-PARTY-NOTICES.txt",
      "dist/types/sdk/index.d.ts",
      "proto/flowctl/event/v1/event.proto",
      "schema/pipeline.schema.json",
    ]) {
      expect(files).toContain(name);
    }
    const folders = new Set(files.filter((name) => name.includes("/")).map((name) => name.split("/")[0]));
    expect([...folders].sort()).toEqual(["dist", "examples", "images", "proto", "schema", "templates"]);
    expect(files.filter((name) => /\.test\.|^(src|test)\/|(^|\/)(node_modules|out|data|\.git)\//.test(name))).toEqual(
      [],
    );
    expect(files.filter((name) => /\.(map|tgz)$/.test(name))).toEqual([]);
  });

  it("has sdk.js in one file", () => {
    expect([...bundlesFrom("sdk.js").keys()]).toEqual(["sdk.js"]);
  });

  it.each(["component.js", "sdk.js"])(
    "has in %s, and in what it may load, nothing that no component needs: proto-loader, and zod in other languages",
    (name) => {
      const text = [...bundlesFrom(name).values()].join("");
      expect(text).toContain("RegisterComponent");
      expect(text).not.toContain("loadFileDescriptorSetFromBuffer");
      expect(text).not.toContain("Ongeldige invoer");
    },
  );

  it.each(["flowctl", "component", "control-plane", "supervisor"])(
    "has of %s what V8 compiled, which V8 takes, and which another text does not fit",
    (name) => {
      const [, bundle = "", ...more] = bundlesFrom(`${name}.js`).keys();
      expect(more.filter((loaded) => !isClient(loaded))).toEqual([]);
      const start = readFileSync(join(installed, "dist", `${name}.js`), "utf8");
      const flags = [...start.matchAll(/"(--[^"]+)"/g)].map(([, flag]) => flag);
      const script = `
        const { readFileSync } = require("node:fs");
        for (const flag of ${JSON.stringify(flags)}) require("node:v8").setFlagsFromString(flag);
        const text = require("node:module").wrap(readFileSync(${JSON.stringify(bundle)}, "latin1"));
        const cachedData = readFileSync(${JSON.stringify(`${bundle}.v8`)});
        const rejects = (source) => new (require("node:vm").Script)(source, { cachedData }).cachedDataRejected;
        console.log(JSON.stringify([rejects(text), rejects(text + " ")]));`;
      const run = spawnSync(process.execPath, ["-e", script], { cwd: join(installed, "dist"), encoding: "utf8" });
      expect(run.stderr).toBe("");
      expect(JSON.parse(run.stdout)).toEqual([false, true]);
    },
  );

  it("lists what it bundles and installs as a bill of materials, and nothing else", () => {
    const bill = JSON.parse(readFileSync(join(installed, "dist/sbom.cdx.json"), "utf8")) as {
      components: { name: string; version: string; purl: string; hashes?: { content: string }[] }[];
    };
    expect(bill).toMatchObject({ bomFormat: "CycloneDX", specVersion: "1.6" });
    const names = bill.components.map(({ name }) => name);
    expect(names).toEqual(
      expect.arrayContaining(["dockerode", "@grpc/grpc-js", "ssh2", "zod", "classic-level", "napi-macros"]),
    );
    for (const tool of ["vitest", "typescript", "esbuild", "@biomejs/biome"]) expect(names).not.toContain(tool);
    const grpc = bill.components.find(({ name }) => name === "@grpc/grpc-js");
    expect(grpc?.purl).toBe(`pkg:npm/%40grpc/grpc-js@${grpc?.version}`);
    expect(grpc?.hashes?.[0]?.content).toMatch(/^[0-9a-f]{128}$/);
    // Whatever npm has installed is there, in the version that it has.
    const listed = new Set(bill.components.map(({ name, version }) => `${name} ${version}`));
    for (const name of readdirSync(join(installed, "node_modules")).filter((one) => !/^[.@]/.test(one))) {
      const { version } = JSON.parse(readFileSync(join(installed, "node_modules", name, "package.json"), "utf8"));
      expect(listed).toContain(`${name} ${version}`);
    }
  });

  it("installs no development package", () => {
    const read = (file: string) =>
      JSON.parse(readFileSync(file, "utf8")).packages as Record<string, { version: string; dev?: boolean }>;
    const development = Object.entries(read(join(root, "package-lock.json"))).filter(([, entry]) => entry.dev === true);
    expect(development.length).toBeGreaterThan(0);
    const unwanted = development.filter(([path, { version }]) => {
      const manifest = join(installed, path, "package.json");
      return existsSync(manifest) && JSON.parse(readFileSync(manifest, "utf8")).version === version;
    });
    expect(unwanted.map(([path]) => path)).toEqual([]);
  });
});

describe("the installed package", () => {
  it("says its version", async () => {
    const { version } = JSON.parse(readFileSync(join(root, "package.json"), "utf8"));
    const { stdout } = await runWell("flowctl", ["--version"], { cwd: work, env: environment });
    expect(stdout).toContain(version);
  });

  it.each(driversUnderTest())(
    "makes a starter pipeline that `up` runs to its end on %s and `down` removes",
    async (driver) => {
      const folder = join(work, `starter-${driver}-${process.pid}`);
      mkdirSync(folder);
      const inFolder = { cwd: folder, env: environment, timeoutMs: 170_000 };
      await runWell("flowctl", ["init"], inFolder);
      await runWell("flowctl", ["validate"], inFolder);
      try {
        const up = await runWell("flowctl", ["up", "--driver", driver], inFolder);
        expect(up.stdout).not.toBe("");
      } finally {
        await runProgram("flowctl", ["down", "-v", "--driver", driver], inFolder);
      }
      const left = await runProgram("flowctl", ["ps", "--json", "--driver", driver], inFolder);
      expect([left.code, JSON.parse(left.stdout)]).toEqual([0, []]);
    },
  );

  it("completes its commands in bash", async () => {
    const typed = (...words: string[]) => `
      COMP_WORDS=(${words.map((word) => `"${word}"`).join(" ")}) COMP_CWORD=${words.length - 1}
      "$(complete -p flowctl | sed -E "s/.*-F ([^ ]+).*/\\1/")"
      echo "\${COMPREPLY[@]}"`;
    const script = `source <(flowctl completion bash)${typed("flowctl", "va")}${typed("flowctl", "up", "--driver", "pro")}`;
    const { stdout } = await runWell("bash", ["--norc", "-c", script], { cwd: work, env: environment });
    const offered = stdout
      .trim()
      .split("\n")
      .map((line) => line.trim());
    expect(offered).toEqual(["validate", "process"]);
  });

  it("gives component authors types that a strict compiler accepts, and code that loads", async () => {
    const project = join(work, "author");
    mkdirSync(join(project, "node_modules"), { recursive: true });
    symlinkSync(installed, join(project, "node_modules/flowctl"));
    symlinkSync(join(installed, "node_modules/zod"), join(project, "node_modules/zod"));
    writeFileSync(join(project, "package.json"), JSON.stringify({ name: "author", type: "module", private: true }));
    const compile = (text: string) => {
      writeFileSync(join(project, "component.ts"), text);
      const compiler = join(root, "node_modules/typescript/bin/tsc");
      const strict = ["--strict", "--target", "es2023", "--module", "nodenext", "--noEmit", "component.ts"];
      return runProgram(process.execPath, [compiler, ...strict], { cwd: project });
    };
    const component = (body: string) => `
      import { z } from "zod";
      import { defineSink, run } from "flowctl/sdk";
      await run(defineSink({
        name: "author", version: "1.0.0", config: z.object({ table: z.string() }),
        open: ({ config, signal, log }) => ({ write: async (events) => { for (const event of events) { ${body} } } }),
      }));`;
    const good = await compile(component("log.info(config.table.trim() + event.id.trim());"));
    expect(good.stdout + good.stderr).toBe("");
    const bad = await compile(component("log.info(config.tabel + event.identity);"));
    expect(bad.stdout).toContain("tabel");
    expect(bad.stdout).toContain("identity");
    const load = 'const sdk = await import("flowctl/sdk"); console.log(typeof sdk.run, typeof sdk.FlowctlError);';
    const { stdout } = await runWell("node", ["--input-type=module", "-e", load], { cwd: project });
    expect(stdout.trim()).toBe("function function");
  });
});

/** A library that only the component that uses it loads. */
function isClient(bundle: string): boolean {
  return bundle.startsWith("client-");
}

/** Names and texts of an installed bundle and of all that it names to load. */
function bundlesFrom(entry: string): ReadonlyMap<string, string> {
  const texts = new Map<string, string>();
  const pending = [entry];
  for (let name = pending.pop(); name !== undefined; name = pending.pop()) {
    if (texts.has(name)) continue;
    // The build breaks long lines, in the middle of a string too.
    const text = readFileSync(join(installed, "dist", name), "utf8").replaceAll("\\\n", "");
    texts.set(name, text);
    for (const [, next = ""] of text.matchAll(/["'](?:\.\/)?([\w-]+-[0-9A-Z]{8}\.cjs)["']/g)) pending.push(next);
  }
  return texts;
}
