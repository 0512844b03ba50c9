// Builds dist/: the programs, each as one bundle and what V8 makes of it, the SDK with its declarations, the protocol files of bundled packages.
//
//   node scripts/build.mjs [--no-types] [--clean] [--out DIR] [--serve]
//
// --serve is for a parent process: each message from it asks for a build, and is answered with whether that succeeded. --clean is for a package: nothing of an older build stays, and a type error fails the build (else it is only told).
//
// Several builds may run at once, and programs may run from dist/ meanwhile: every file is written beside its place and
// renamed over it, and files whose content did not change stay untouched.
import { execFile } from "node:child_process";
import { chmod, mkdir, mkdtemp, readdir, readFile, rename, rm, stat, writeFile } from "node:fs/promises";
import { isBuiltin } from "node:module";
import { tmpdir } from "node:os";
import { basename, dirname, join, relative, resolve } from "node:path";
import { parseArgs, promisify } from "node:util";
import { context } from "esbuild";
import { billOfMaterials, bundledPackages, notices } from "./build/packages.mjs";

const root = resolve(import.meta.dirname, "..");
const { values: options } = parseArgs({
  options: {
    out: { type: "string", default: join(root, "dist") },
    "no-types": { type: "boolean", default: false },
    clean: { type: "boolean", default: false },
    serve: { type: "boolean", default: false },
  },
});
const out = resolve(options.out);

/** The programs: what each of them needs only at times it runs only then, out of the same file. */
const programs = {
  flowctl: "src/main/flowctl.ts",
  "control-plane": "src/main/control-plane.ts",
  "engine-access": "src/main/engine-access.ts",
  supervisor: "src/main/supervisor.ts",
  component: "src/main/component.ts",
};

/**
 * V8's flags. A young generation that is kept small saves tens of megabytes of memory with 100 components; the few messages of who
 * watches over them do not need more.
 */
const flags = Object.fromEntries(
  ["control-plane", "engine-access", "supervisor"].map((name) => [name, ["--semi-space-growth-factor=1"]]),
);

/** CommonJS, as only of that Node.js 20 lets V8 take what it compiled earlier; see start.cjs. */
const asProgram = {
  format: "cjs",
  outExtension: { ".js": ".cjs" },
  // What V8 compiled belongs to this very text, of which it checks the length alone.
  entryNames: "[name]-[hash]",
  banner: {
    js: 'const flowctlUrl = require("node:url").pathToFileURL(__filename).href;\nconst flowctlVendor = `${__dirname}/vendor`;',
  },
  define: { "import.meta.url": "flowctlUrl", "import.meta.dirname": "__dirname" },
  supported: { "dynamic-import": false },
};

/** Libraries that speak to other systems, one bundle each: only the component that needs one loads it. */
const clientFolder = join(root, "src/components/clients");
const asClient = { format: "cjs", outExtension: { ".js": ".cjs" }, entryNames: "[name]-[hash]" };

/** By the file of a client: its bundle, as it was built last. */
const clientBundles = new Map();

/** The programs find a client's bundle beside them. */
const clientsBeside = {
  name: "clients-beside",
  setup(builder) {
    builder.onResolve({ filter: /\/clients\/[a-z0-9-]+\.ts$/ }, ({ path, resolveDir, kind }) => {
      const bundle = clientBundles.get(resolve(resolveDir, path));
      return bundle === undefined || kind === "entry-point" ? undefined : { path: `./${bundle}`, external: true };
    });
  },
};

/** What other components are written with, in one file: finding another one would cost them more than it saves. */
const sdk = { sdk: "src/sdk/index.ts" };
const asModule = {
  format: "esm",
  banner: {
    js: [
      'import { createRequire as flowctlCreateRequire } from "node:module";',
      "const require = flowctlCreateRequire(import.meta.url);",
      "const flowctlVendor = `${import.meta.dirname}/vendor`;",
    ].join("\n"),
  },
};

/** The programs that containers run. */
const inImage = ["component", "control-plane", "engine-access"];

/** Many components run side by side, and Node.js keeps the text of each in memory. Names stay, for stack traces. */
const compact = { minifyWhitespace: true, minifySyntax: true, lineLimit: 200 };

/** What stays an import of an installed package: native addons. All else is bundled, and therefore among the devDependencies. */
const external = ["classic-level", "cpu-features", "pg-native", "*.node"];

/** What whoever imports it does without when it is missing. */
const missable = new Set(["cpu-features", "@grpc/proto-loader", "pg-native", "pg-cloudflare"]);

/** Bundled packages that read files beside their code at run time; the files go to dist/vendor/<package>/<folder>. */
const vendored = { "@grpc/reflection": ["build/proto/grpc"], "grpc-health-check": ["proto"], dockerode: ["lib/proto"] };

/** A file that newer builds no longer write is removed after this long: a running program may still want to load it. */
const staleAfterMs = 15 * 60_000;

/**
 * The first lines of the command: a shell runs Node.js with `--`, without which Node.js takes `--env-file` for an option of
 * its own wherever it stands, and does what a NODE_OPTIONS in that file says. `env -S` would do the same, but BusyBox has none.
 */
const COMMAND_LINE = `#!/bin/sh
":" //; exec node -- "$0" "$@"
`;

/** Bundled CommonJS has no `__dirname` of its own: it gets the folder that dist/vendor/ keeps for its package. */
const vendorPaths = {
  name: "vendor-paths",
  setup(builder) {
    builder.onLoad({ filter: /node_modules\/.*\.c?js$/ }, async ({ path }) => {
      const text = await readFile(path, "utf8");
      if (!/\b__dirname\b/.test(text)) return undefined;
      const place = dirname(path.slice(path.lastIndexOf("node_modules/") + "node_modules/".length));
      return { contents: text.replace(/\b__dirname\b/g, `(flowctlVendor + "/${place}")`), loader: "js" };
    });
  },
};

/**
 * grpc-js loads proto-loader only for its admin services, which flowctl does not serve: left out, so that components do not
 * carry it.
 */
const noAdminServices = {
  name: "no-admin-services",
  setup(builder) {
    builder.onResolve({ filter: /^@grpc\/proto-loader$/ }, ({ importer }) =>
      /grpc-js\/build\/src\/(channelz|orca)\.js$/.test(importer)
        ? { path: "@grpc/proto-loader", external: true }
        : undefined,
    );
  },
};

/** What dockerode loads at its start and few runs call, its SSH client above all: one function each, which loads at its first call. */
const loadedWhenCalled = {
  name: "loaded-when-called",
  setup(builder) {
    const importers = /node_modules\/(?:docker-modem\/lib\/modem|dockerode\/lib\/docker)\.js$/;
    builder.onLoad({ filter: importers }, async ({ path }) => {
      const text = await readFile(path, "utf8");
      const contents = text.replace(/require\('\.\/(?:ssh|session)'\)/, "(...given) => $&(...given)");
      if (contents === text) throw new Error(`build: ${path} no longer loads what it was known to load`);
      return { contents, loader: "js" };
    });
  },
};

async function exists(path) {
  return stat(path).then(
    () => true,
    () => false,
  );
}

const written = new Set();

/** Whether the file is another than before. */
async function put(path, contents, mode) {
  written.add(path);
  const bytes = Buffer.from(contents);
  const present = await readFile(path).catch(() => undefined);
  if (present?.equals(bytes)) return false;
  await mkdir(dirname(path), { recursive: true });
  const temporary = join(dirname(path), `.${basename(path)}.${process.pid}`);
  await writeFile(temporary, bytes);
  if (mode !== undefined) await chmod(temporary, mode);
  await rename(temporary, path);
  return true;
}

async function bundle() {
  const clients = await bundleClients();
  const results = [...(await Promise.all([bundleOf(programs, asProgram), bundleOf(sdk, asModule)])), clients];
  await put(join(out, "start.cjs"), await readFile(join(root, "scripts/build/start.cjs")));
  for (const file of results.flatMap((result) => result.outputFiles)) await put(file.path, file.text);
  const files = ["start.cjs", "sdk.js", "sbom.cdx.json", ...clientBundles.values()];
  for (const [path, { entryPoint }] of Object.entries(results[0].metafile.outputs)) {
    const name = Object.keys(programs).find((one) => programs[one] === entryPoint);
    const parts = await program(name, join(root, path));
    if (inImage.includes(name)) files.push(...parts);
  }
  const packages = bundledPackages(results.map((result) => result.metafile));
  await put(join(out, "THIRD-PARTY-NOTICES.txt"), await notices(root, packages));
  await put(join(out, "sbom.cdx.json"), `${JSON.stringify(await billOfMaterials(root, packages), undefined, 2)}\n`);
  await put(join(out, "image.json"), JSON.stringify(files));
  const { dependencies } = JSON.parse(await readFile(join(root, "package.json"), "utf8"));
  const beside = [...clientBundles.values()].map((name) => `./${name}`);
  for (const { path } of results.flatMap(({ metafile }) => Object.values(metafile.outputs).flatMap(importsOf))) {
    if (!(path in dependencies) && !missable.has(path) && !beside.includes(path)) {
      throw new Error(`build: ${path} is imported and not among the dependencies`);
    }
  }
}

/** Before the programs, which name these bundles. Returns esbuild's result. */
async function bundleClients() {
  const names = (await readdir(clientFolder)).filter((name) => name.endsWith(".ts"));
  const entries = Object.fromEntries(
    names.map((name) => [`client-${basename(name, ".ts")}`, join(clientFolder, name)]),
  );
  const result = await bundleOf(entries, asClient);
  for (const [path, { entryPoint }] of Object.entries(result.metafile.outputs)) {
    clientBundles.set(join(root, entryPoint), basename(path));
  }
  return result;
}

/**
 * Makes of a program's bundle what V8 compiles of it when it runs, and then what starts it. Returns the names of all its files in dist/;
 * without what was compiled, as while developing, it only starts more slowly.
 */
async function program(name, bundle) {
  const compiled = `${bundle}.v8`;
  const given = [basename(bundle), ...(flags[name] ?? [])].map((text) => JSON.stringify(text)).join(", ");
  const start = `import { createRequire } from "node:module";\ncreateRequire(import.meta.url)("./start.cjs")(${given});\n`;
  written.add(compiled);
  if (!options.serve && !(await exists(compiled))) {
    // Without what they need to do more, all of them end at once.
    const args = name === "flowctl" ? ["validate", join(root, "examples/generator/pipeline.yaml")] : [];
    const code = `const script = require("./start.cjs")(${given});
      process.once("exit", () => require("node:fs").writeFileSync(process.env.COMPILED, script.createCachedData()));`;
    const env = { PATH: process.env.PATH, COMPILED: join(out, `.${basename(compiled)}.${process.pid}`) };
    await promisify(execFile)(process.execPath, ["-e", code, name, ...args], { env, cwd: out, timeout: 60_000 }).catch(
      () => undefined,
    );
    await rename(env.COMPILED, compiled).catch(() => undefined);
  }
  await put(join(out, `${name}.js`), `${name === "flowctl" ? COMMAND_LINE : "#!/usr/bin/env node\n"}${start}`, 0o755);
  const parts = [`${name}.js`, basename(bundle)];
  return (await exists(compiled)) ? [...parts, basename(compiled)] : parts;
}

/** Imports of packages that are to be installed. */
function importsOf({ imports }) {
  return imports.filter(({ path, external: isExternal }) => isExternal && !isBuiltin(path) && !path.endsWith(".node"));
}

/** By the names of their entries: what one build has parsed the next one of this process need not. */
const contexts = new Map();

async function bundleOf(entries, settings) {
  const present = {};
  for (const [name, source] of Object.entries(entries)) {
    if (await exists(resolve(root, source))) present[name] = resolve(root, source);
    else console.error(`build: ${source} does not exist yet, dist/${name}.js is left out`);
  }
  const key = Object.keys(present).join();
  const known = contexts.get(key);
  if (known !== undefined) return known.rebuild();
  const made = await context({
    entryPoints: present,
    outdir: out,
    absWorkingDir: root,
    bundle: true,
    platform: "node",
    target: "node20",
    external,
    plugins: [clientsBeside, loadedWhenCalled, vendorPaths, noAdminServices],
    legalComments: "none",
    ...compact,
    // protobufjs hides an optional require() behind eval on purpose.
    logOverride: { "direct-eval": "silent" },
    metafile: true,
    write: false,
    logLevel: "warning",
    ...settings,
  });
  contexts.set(key, made);
  return made.rebuild();
}

async function vendor() {
  for (const [name, folders] of Object.entries(vendored)) {
    for (const folder of folders) {
      const from = join(root, "node_modules", name, folder);
      for (const entry of await readdir(from, { recursive: true })) {
        if (!entry.endsWith(".proto")) continue;
        await put(join(out, "vendor", name, folder, entry), await readFile(join(from, entry)));
      }
    }
  }
}

/** Declarations of the SDK and of what it mentions; imports name the emitted `.js`, as consumers resolve them. */
async function types() {
  const temporary = await mkdtemp(join(tmpdir(), "flowctl-types-"));
  try {
    const tsc = join(root, "node_modules/typescript/bin/tsc");
    const args = [tsc, "-p", join(root, "tsconfig.types.json"), "--outDir", temporary];
    await promisify(execFile)(process.execPath, args, { cwd: root }).catch((error) => {
      const message = `build: the SDK's types do not compile\n${error.stdout}`;
      if (options.clean) throw new Error(message);
      console.error(message);
    });
    const emitted = (await readdir(temporary, { recursive: true })).filter((name) => name.endsWith(".d.ts"));
    for (const name of emitted) {
      const text = await readFile(join(temporary, name), "utf8");
      await put(
        join(out, "types", name),
        text.replace(/((?:from|import\()\s*["']\.{1,2}\/[^"']*)\.ts(["'])/g, "$1.js$2"),
      );
    }
  } finally {
    await rm(temporary, { recursive: true, force: true });
  }
}

/** Removes what no build wrote of late; with --clean all that this one did not write. */
async function sweep() {
  for (const name of await readdir(out, { recursive: true, withFileTypes: true })) {
    const path = join(name.parentPath, name.name);
    if (!name.isFile() || written.has(path)) continue;
    const age = Date.now() - (await stat(path).catch(() => ({ mtimeMs: Date.now() }))).mtimeMs;
    if (options.clean || age > staleAfterMs) await rm(path, { force: true });
  }
}

async function buildAll() {
  const started = performance.now();
  written.clear();
  await mkdir(out, { recursive: true });
  await Promise.all([bundle(), vendor(), options["no-types"] ? undefined : types()]);
  await sweep();
  const seconds = ((performance.now() - started) / 1000).toFixed(1);
  console.error(`build: ${relative(process.cwd(), out) || out} in ${seconds} s`);
}

async function disposeAll() {
  for (const made of contexts.values()) await made.dispose();
}

if (options.serve) {
  process.on("message", () => {
    // What esbuild finds wrong it has printed itself.
    buildAll().then(
      () => process.send(true),
      (error) => {
        if (error.errors === undefined) console.error(error);
        process.send(false);
      },
    );
  });
  process.once("disconnect", disposeAll);
} else {
  try {
    await buildAll();
  } finally {
    await disposeAll();
  }
}
