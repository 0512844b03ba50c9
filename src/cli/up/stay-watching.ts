import { relative } from "node:path";
import { FlowctlError, hasCode } from "../../foundation/errors.ts";
import { overridePaths, withOverride } from "../../pipeline/load-pipeline.ts";
import { isEmpty } from "../../planner/plan.ts";
import type { CommandContext } from "../command.ts";
import { problemReport } from "../display/problem-report.ts";
import { renderError } from "../display/render-error.ts";
import { withEnvSettings } from "../env-settings.ts";
import { InvalidPipeline } from "../load.ts";
import { type Edit, EditWatch } from "../watch/edit-watch.ts";
import { watchedOf } from "../watch/watched.ts";
import { type BringUpOptions, prepareUp } from "./bring-up.ts";
import type { PreparedUp } from "./change.ts";
import { prepareOnceFree } from "./plan-again.ts";
import { startPrepared } from "./start-prepared.ts";

/** So many changed files are named. */
const NAMED = 3;

/** Errors that say that there is nothing left to stay with. */
const OVER = ["control/operation-taken-over", "cli/pipeline-gone", "cli/taken-down"];

export interface WatchingOptions {
  /** The pipeline files, by name: another must never be found in their place. */
  readonly files: readonly string[];
  /** They were found, not named: the override of the first may come and go. */
  readonly isFound: boolean;
  readonly up: BringUpOptions;
  /** Files that the first start has read or looked for, and when it began, in Unix milliseconds. */
  readonly looked: readonly string[];
  readonly since: number;
}

/**
 * Carries out edits of a pipeline that has been started, one after the other, until the first interrupt. Whatever is wrong with one is
 * said, and the pipeline goes on as it was. `began` is told what runs from then on. Rejects when it is over: by the interrupt, or
 * when somebody else has taken the pipeline over or down.
 */
export class Watching {
  readonly #context: CommandContext;
  readonly #options: WatchingOptions;
  readonly #edits: EditWatch;
  #looked: readonly string[];
  /** Came while the one before was carried out. */
  #further: Edit | undefined;
  /** What was edited and not carried out yet. */
  #build = new Set<string>();
  #recreate = new Set<string>();
  /** The settings of `.env` as they were seen last: what is being attached to was chosen by the first. */
  #settings = "";

  constructor(context: CommandContext, options: WatchingOptions) {
    this.#context = context;
    this.#options = options;
    this.#edits = new EditWatch(context.deps.clock);
    this.#looked = options.looked;
  }

  /** To be called before the pipeline is started: what is edited from then on is told once it is. */
  async start(prepared: PreparedUp): Promise<void> {
    this.#settings = await this.#settingsOfFile();
    await this.#watch(prepared, this.#options.since);
  }

  close(): void {
    this.#edits.close();
  }

  /** Resolves with what runs from then on, after an edit was carried out; with `undefined` where it could not be. */
  async next(current: PreparedUp, signal: AbortSignal): Promise<PreparedUp | undefined> {
    const edit = this.#further ?? (await this.#edits.next(signal));
    this.#further = undefined;
    this.#say(edit);
    await this.#warnOfSettings();
    for (const owner of edit.build) this.#build.add(owner);
    for (const owner of edit.recreate) this.#recreate.add(owner);
    const began = this.#context.deps.clock.now();
    let prepared: PreparedUp | undefined;
    try {
      prepared = await this.#prepare(current);
      await this.#watch(prepared, began);
      await this.#carryOut(prepared);
    } catch (error) {
      prepared?.release();
      prepared?.access.close();
      if (this.#context.signal.aborted || OVER.some((code) => hasCode(error, code))) throw error;
      if (!(error instanceof FlowctlError)) throw error;
      if (hasCode(error, "control/changed-since")) {
        // Another `up` or `scale` was quicker: the edit is planned once more, from what is there now. After a `stop` or a `down`, which
        // take over, it is over.
        this.#context.output.say(`${error.message}; planning again`);
        this.#further ??= edit;
        return undefined;
      }
      if (this.#further === undefined) this.#refused(error, prepared?.done.changed ?? false);
      if (prepared === undefined) await this.#watch(current, began);
      return undefined;
    }
    this.#build = new Set();
    this.#recreate = new Set();
    this.#context.output.say(isEmpty(prepared.plan) ? "Nothing to change" : "Applied");
    return prepared;
  }

  /** Until it is done, or there is a further edit: a step may wait for something that only that will mend. */
  async #carryOut(prepared: PreparedUp): Promise<void> {
    const { signal } = this.#context;
    const done = new AbortController();
    const stop = new AbortController();
    const further = this.#edits.next(AbortSignal.any([signal, done.signal])).then(
      (edit) => {
        this.#further = edit;
        stop.abort();
      },
      (error: unknown) => stop.abort(error),
    );
    try {
      await startPrepared(this.#context, prepared, AbortSignal.any([signal, stop.signal]));
    } finally {
      done.abort(signal.reason);
      await further;
    }
  }

  async #prepare(current: PreparedUp): Promise<PreparedUp> {
    const { up } = this.#options;
    return prepareOnceFree(this.#context, async () =>
      prepareUp(this.#context, await this.#files(), {
        ...up,
        build: this.#build,
        forceRecreate: this.#recreate,
        same: current.pipeline.name,
        onLook: (paths) => {
          this.#looked = paths;
        },
      }),
    );
  }

  async #settingsOfFile(): Promise<string> {
    const { deps, invocation, settings } = this.#context;
    const asked = { envFile: settings.envFile, files: invocation.selection.files };
    const { env, own } = await withEnvSettings(asked, deps.env, deps.cwd);
    return JSON.stringify([...own].sort().map((name) => [name, env[name]]));
  }

  /** Which pipeline is watched, on what, was decided when it began. */
  async #warnOfSettings(): Promise<void> {
    const now = await this.#settingsOfFile();
    if (now === this.#settings) return;
    this.#settings = now;
    const fix = "Stop this one with Ctrl-C, and start it again";
    this.#context.output.warn("Settings of flowctl in .env (FLOWCTL_…) count from the next `flowctl up` on", fix);
  }

  async #files(): Promise<readonly string[]> {
    const { files, isFound } = this.#options;
    const [first] = files;
    return isFound && first !== undefined ? withOverride(first) : files;
  }

  /** What a file that is not valid names is watched as well as what the one before did. */
  async #watch({ pipeline, driver }: PreparedUp, since: number): Promise<void> {
    const { files: named, isFound } = this.#options;
    const overrides = isFound ? named.slice(0, 1).flatMap(overridePaths) : [];
    const files = new Set([...pipeline.files, ...this.#looked, ...overrides]);
    files.delete("<stdin>");
    await this.#edits.set(await watchedOf(pipeline, [...files], driver.capabilities.images), since);
  }

  #say({ paths }: Edit): void {
    const { deps, output } = this.#context;
    const names = paths.slice(0, NAMED).map((path) => relative(deps.cwd, path) || path);
    const more = paths.length - names.length;
    output.say(`Edited: ${names.join(", ")}${more > 0 ? `, and ${more} more` : ""}`);
  }

  #refused(error: FlowctlError, inPart: boolean): void {
    const { output, errorView } = this.#context;
    if (error instanceof InvalidPipeline) {
      output.stderr.write(
        `${problemReport(error.problems, error.texts, errorView)}\n\n${output.paintError.red(error.message)}\n`,
      );
    } else output.stderr.write(`${renderError(error, errorView)}\n`);
    output.say(`${inPart ? "Partly applied" : "Not applied"}; waiting for the next edit`);
  }
}
