// Builds dist/: ESM bundles of the programs, the SDK's declarations, the protocol files of bundled packages.
//
//   node scripts/build.mjs [--no-types] [--clean] [--out DIR] [--serve]
//
// --serve is for a parent process: each message from it asks for a build, and is answered with whether that succeeded. --clean is for a package: nothing of an older build stays, and a type error fails the build (else it is only told).
//
// Several builds may run at once, and programs may run from dist/ meanwhile: every file is written beside its place and
// renamed over it, chunks before the entries that import them, and files whose content did not change stay untouched.
import { execFile } from "node:child_process";
import { chmod, mkdir, mkdtemp, readdir, readFile, rename, rm, stat, writeFile } from "node:fs/promises";
import { isBuiltin } from "node:module";
import { tmpdir } from "node:os";
import { basename, dirname, join, relative, resolve } from "node:path";
import { parseArgs, promisify } from "node:util";
import { context } from "esbuild";

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

/** Programs that share chunks, and load what they need only at times when they need it. */
const sharing = {
  flowctl: "src/main/flowctl.ts",
  "control-plane": "src/main/control-plane.ts",
  supervisor: "src/main/supervisor.ts",
};

/** The built-ins, of which each process runs one: it loads that one, and what all of them have in common. */
const builtins = { component: "src/main/component.ts" };

/** What other components are written with, in one file: finding another one would cost them more than it saves. */
const sdk = { sdk: "src/sdk/index.ts" };

/** The programs that containers run, and what components of a user's own are written with. */
const inImage = ["component", "control-plane", "sdk"];

/** Many components run side by side, and Node.js keeps the text of each in memory. Names stay, for stack traces. */
const compact = { minifyWhitespace: true, lineLimit: 200 };

/** Files of their own for what several programs, or only some runs of one, need. */
const chunks = { splitting: true, chunkNames: "chunk-[hash]" };

/** What stays an import of an installed package: native addons. All else is bundled, and therefore among the devDependencies. */
const external = ["classic-level", "cpu-features", "*.node"];

/** What whoever imports it does without when it is missing. */
const missable = new Set(["cpu-features", "@grpc/proto-loader"]);

/** Bundled packages that read files beside their code at run time; the files go to dist/vendor/<package>/<folder>. */
const vendored = { "@grpc/reflection": ["build/proto/grpc"], "grpc-health-check": ["proto"], dockerode: ["lib/proto"] };

/** A file that newer builds no longer write is removed after this long: a running program may still want to load it. */
const staleAfterMs = 15 * 60_000;

const banner = [
  'import { createRequire as flowctlCreateRequire } from "node:module";',
  "const require = flowctlCreateRequire(import.meta.url);",
  "const flowctlVendor = `${import.meta.dirname}/vendor`;",
].join("\n");

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

async function put(path, contents, mode) {
  written.add(path);
  const bytes = Buffer.from(contents);
  const present = await readFile(path).catch(() => undefined);
  if (present?.equals(bytes)) return;
  await mkdir(dirname(path), { recursive: true });
  const temporary = join(dirname(path), `.${basename(path)}.${process.pid}`);
  await writeFile(temporary, bytes);
  if (mode !== undefined) await chmod(temporary, mode);
  await rename(temporary, path);
}

async function bundle() {
  const results = await Promise.all([
    bundleOf(sharing, chunks),
    bundleOf(builtins, { ...chunks, ...compact }),
    bundleOf(sdk, compact),
  ]);
  const isEntry = (path) => Object.hasOwn({ ...sharing, ...builtins, ...sdk }, basename(path, ".js"));
  const files = results
    .flatMap((result) => result.outputFiles)
    .toSorted((a, b) => Number(isEntry(a.path)) - Number(isEntry(b.path)));
  for (const file of files) {
    const program = isEntry(file.path) && basename(file.path) !== "sdk.js";
    const first = basename(file.path) === "flowctl.js" ? COMMAND_LINE : "#!/usr/bin/env node\n";
    const text = program && !file.text.startsWith("#!") ? `${first}${file.text}` : file.text;
    await put(file.path, text, program ? 0o755 : undefined);
  }
  await put(join(out, "THIRD-PARTY-NOTICES.txt"), await notices(results.map((result) => result.metafile)));
  await put(
    join(out, "image.json"),
    JSON.stringify(
      reachable(
        results.map(({ metafile }) => metafile.outputs),
        inImage,
      ),
    ),
  );
  const { dependencies } = JSON.parse(await readFile(join(root, "package.json"), "utf8"));
  for (const { path } of results.flatMap(({ metafile }) => Object.values(metafile.outputs).flatMap(importsOf))) {
    if (!(path in dependencies) && !missable.has(path)) {
      throw new Error(`build: ${path} is imported and not among the dependencies`);
    }
  }
}

/** The names of the bundles that are, or import sooner or later, what the entries of these names are. */
function reachable(outputs, entries) {
  const all = new Map(outputs.flatMap(Object.entries));
  const found = new Set([...all.keys()].filter((path) => entries.includes(basename(path, ".js"))));
  for (const path of found) for (const next of all.get(path).imports) if (all.has(next.path)) found.add(next.path);
  return [...found].map((path) => basename(path)).sort();
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
    if (await exists(join(root, source))) present[name] = join(root, source);
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
    format: "esm",
    platform: "node",
    target: "node20",
    external,
    plugins: [loadedWhenCalled, vendorPaths, noAdminServices],
    banner: { js: banner },
    legalComments: "none",
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

/** The licences of every package whose code is in the bundles, as their authors ask for. */
async function notices(metafiles) {
  const packages = new Set();
  for (const output of metafiles.flatMap((metafile) => Object.values(metafile.outputs))) {
    for (const [input, { bytesInOutput }] of Object.entries(output.inputs)) {
      const found = /^(.*node_modules\/(?:@[^/]+\/)?[^/]+)\//.exec(input);
      if (found && bytesInOutput > 0) packages.add(found[1]);
    }
  }
  const parts = [];
  for (const folder of [...packages].sort()) {
    const manifest = JSON.parse(await readFile(join(root, folder, "package.json"), "utf8"));
    const names = await readdir(join(root, folder));
    const licence = names.find((name) => /^(licen[cs]e|copying)/i.test(name));
    const text = licence
      ? (await readFile(join(root, folder, licence), "utf8")).trim()
      : `License: ${manifest.license}`;
    parts.push(`${manifest.name} ${manifest.version} (${manifest.license ?? "see below"})\n\n${text}\n`);
  }
  return `The bundles in this folder contain code of these packages.\n\n${[...new Set(parts)].join(`\n${"-".repeat(80)}\n\n`)}`;
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
