// Runs a pipeline on the flowctl of this repository and follows edits of both: npm run dev -- <pipeline.yaml> [options]
//
// Edits of the pipeline file, and of what it reads, are applied by `flowctl up --watch`. After an edit of flowctl itself dist/ is
// built; when that changes a program, everything is taken down and started anew, the control plane too. Ctrl-C takes everything down.
import { type ChildProcess, fork, spawn } from "node:child_process";
import { readdir, stat } from "node:fs/promises";
import { join, relative, resolve } from "node:path";
import { parseArgs } from "node:util";
import { EditWatch } from "../src/cli/watch/edit-watch.ts";
import type { Watched } from "../src/cli/watch/watched.ts";
import { systemClock } from "../src/foundation/clock.ts";

const USAGE = `npm run dev -- <pipeline.yaml> [options]

  --fresh      begin at the first event after each edit of flowctl, and remove volumes: \`flowctl down -v\`
  --driver, -p, --env-file, --profile, --scale, --log-level    as for \`flowctl up\`
`;

/** npm hands on the interrupt that the terminal has sent already: what comes within so many milliseconds is one. */
const ONE_INTERRUPT_MS = 200;

const root = resolve(import.meta.dirname, "..");
const cwd = process.env.INIT_CWD ?? process.cwd();

type Options = ReturnType<typeof readOptions>;

function readOptions(args: readonly string[]) {
  const text = { type: "string" } as const;
  const texts = { type: "string", multiple: true } as const;
  const { values, positionals } = parseArgs({
    args: [...args],
    allowPositionals: true,
    options: {
      fresh: { type: "boolean", default: false },
      driver: text,
      "project-name": { ...text, short: "p" },
      "env-file": text,
      profile: texts,
      scale: texts,
      "log-level": text,
    },
  });
  const { fresh, scale, "log-level": logLevel, ...which } = values;
  const flags = (some: Readonly<Record<string, string | readonly string[] | undefined>>): readonly string[] =>
    Object.entries(some).flatMap(([name, given]) => [given ?? []].flat().flatMap((value) => [`--${name}`, value]));
  const files = positionals.map((file) => resolve(cwd, file));
  return {
    files,
    up: ["up", "--watch", ...flags({ ...which, scale, "log-level": logLevel }), ...files],
    down: ["down", ...(fresh ? ["-v"] : []), ...flags({ ...which, file: files })],
  };
}

const say = (text: string): void => console.error(`dev: ${text}`);

/** Programs run in process groups of their own: the terminal interrupts this one only, which asks them to end in their turn. */
class Programs {
  readonly #alive = new Set<ChildProcess>();

  /** Resolves with the exit code once it has ended. */
  run(script: string, args: readonly string[] = []): { readonly child: ChildProcess; readonly ended: Promise<number> } {
    const child = spawn(process.execPath, [join(root, script), ...args], {
      cwd,
      detached: true,
      stdio: ["ignore", "inherit", "inherit"],
    });
    this.#alive.add(child);
    const ended = new Promise<number>((done) => {
      child.once("error", (error) => {
        say(error.message);
        done(1);
      });
      child.once("exit", (code) => done(code ?? 1));
    }).finally(() => this.#alive.delete(child));
    return { child, ended };
  }

  interrupt(): void {
    for (const child of this.#alive) child.kill("SIGINT");
  }
}

/** What is to be watched: the programs, what images are made of, and the pipeline, for when it could not be started. */
function watched(files: readonly string[]): readonly Watched[] {
  const ignores = (path: string): boolean => /\.(test|fake|property\.test)\.ts$|(^|\/)[.#][^/]*$|~$/.test(path);
  const folders = ["src", "proto", "images"].map((folder) => ({ path: join(root, folder), ignores }));
  return [
    ...folders.map((own): Watched => ({ root: own, effect: "build", owner: "" })),
    ...files.map((path): Watched => ({ root: { path }, effect: "read", owner: "" })),
  ];
}

/** When each program was written: the build leaves alone what has not changed. */
async function stampsOfPrograms(): Promise<string> {
  const dist = join(root, "dist");
  const names = (await readdir(dist).catch(() => [])).filter((name) => name.endsWith(".js")).sort();
  const stamps = names.map(async (name) => `${name} ${(await stat(join(dist, name))).mtimeMs}`);
  return (await Promise.all(stamps)).join("\n");
}

/**
 * Builds dist/, in a process that remembers what it has parsed. Types are not looked at: that takes much longer, and editors do.
 * To be closed at the end.
 */
class Builder {
  readonly #process = fork(join(root, "scripts/build.mjs"), ["--no-types", "--serve"], { detached: true });

  async build(): Promise<"failed" | "changed" | "same"> {
    const before = await stampsOfPrograms();
    const succeeded = await new Promise<boolean>((done) => {
      this.#process.once("message", (message) => done(message === true));
      this.#process.once("exit", () => done(false));
      this.#process.send("build", (error) => {
        if (error !== null) done(false);
      });
    });
    this.#process.removeAllListeners();
    if (!succeeded) return "failed";
    return (await stampsOfPrograms()) === before ? "same" : "changed";
  }

  close(): void {
    if (this.#process.connected) this.#process.disconnect();
  }
}

/** The pipeline as it runs, and how it is replaced and taken down. */
class Pipeline {
  readonly #programs: Programs;
  readonly #options: Options;
  #up: ReturnType<Programs["run"]> | undefined;

  constructor(programs: Programs, options: Options) {
    this.#programs = programs;
    this.#options = options;
  }

  get runs(): boolean {
    return this.#up !== undefined;
  }

  /** `isOver`: asked when it ends by itself, whether anybody still wants to know. */
  start(isOver: () => boolean): void {
    const up = this.#programs.run("dist/flowctl.js", this.#options.up);
    this.#up = up;
    void up.ended.then((code) => {
      if (this.#up !== up) return;
      this.#up = undefined;
      if (!isOver()) say(`flowctl up ended with code ${code}; waiting for the next edit`);
    });
  }

  /** Drains it, ends it, and removes all of it; what it has read is remembered unless `--fresh` is given. */
  async takeDown(): Promise<void> {
    const up = this.#up;
    this.#up = undefined;
    up?.child.kill("SIGINT");
    await up?.ended;
    await this.#programs.run("dist/flowctl.js", this.#options.down).ended;
  }
}

async function develop(options: Options): Promise<void> {
  const programs = new Programs();
  const pipeline = new Pipeline(programs, options);
  const over = new AbortController();
  const isOver = (): boolean => over.signal.aborted;
  let interruptedAt = 0;
  for (const signal of ["SIGINT", "SIGTERM", "SIGHUP"] as const) {
    process.on(signal, () => {
      if (isOver() && Date.now() - interruptedAt > ONE_INTERRUPT_MS) programs.interrupt();
      interruptedAt = Date.now();
      over.abort();
    });
  }
  const builder = new Builder();
  const edits = new EditWatch(systemClock);
  await edits.set(watched(options.files), Date.now());
  try {
    if ((await builder.build()) === "failed") say("not built; waiting for the next edit");
    else if (!isOver()) pipeline.start(isOver);
    while (!isOver()) {
      const edit = await edits.next(over.signal).catch(() => undefined);
      if (edit !== undefined) await carryOut(edit.paths, pipeline, builder, isOver);
    }
  } finally {
    edits.close();
    builder.close();
    say("taking everything down");
    await pipeline.takeDown();
  }
}

async function carryOut(
  paths: readonly string[],
  pipeline: Pipeline,
  builder: Builder,
  isOver: () => boolean,
): Promise<void> {
  const own = paths.map((path) => relative(root, path)).filter((path) => /^(src|proto|images)\//.test(path));
  // Edits of a pipeline that runs are applied, and told, by flowctl.
  if (own.length === 0 && pipeline.runs) return;
  if (own.length > 0) {
    say(`edited: ${own.slice(0, 3).join(", ")}${own.length > 3 ? `, and ${own.length - 3} more` : ""}`);
    const built = await builder.build();
    if (built === "failed") return say("not built; nothing changes until the next edit");
    const isNew = built === "changed" || own.some((path) => !path.startsWith("src/"));
    if (!isNew && pipeline.runs) return say("no program changed");
  }
  if (isOver()) return;
  say("starting the pipeline anew");
  await pipeline.takeDown();
  if (!isOver()) pipeline.start(isOver);
}

let options: Options | undefined;
try {
  options = readOptions(process.argv.slice(2));
} catch (error) {
  console.error(`${(error as Error).message}\n`);
}
if (options === undefined || options.files.length === 0) {
  console.error(USAGE);
  process.exitCode = 2;
} else await develop(options);
