import type { Readable } from "node:stream";
import { cancelled } from "../../foundation/clock.ts";
import { TELLING_TAIL, tellingLine } from "../../foundation/telling-line.ts";
import type { LogLine, LogOptions, ObservedResource } from "../driver.ts";
import { instanceId } from "../identity.ts";
import { isSelected } from "../log-selection.ts";
import { inspectContainer, listContainers } from "./container/containers.ts";
import { type Engine, engineError, unlessCode } from "./engine/engine.ts";
import { engineEvents, streamEnded } from "./events.ts";
import { LineAssembler, LogFrameParser, type TimedLine } from "./logs/log-frames.ts";
import { Outbox } from "./logs/outbox.ts";
import { readLabels } from "./resources/labels.ts";

/** Log lines of a pipeline; see `Driver.logs`. */
export async function* pipelineLogs(
  engine: Engine,
  pipeline: string,
  options: LogOptions,
  signal: AbortSignal,
): AsyncGenerator<LogLine> {
  const stop = new AbortController();
  const linked = AbortSignal.any([signal, stop.signal]);
  try {
    yield* options.follow
      ? followLogs(engine, pipeline, options, linked)
      : storedLogs(engine, pipeline, options, linked);
  } catch (error) {
    if (signal.aborted && options.follow) return;
    if (signal.aborted) throw cancelled(signal);
    throw error;
  } finally {
    stop.abort();
  }
}

/** What says most in what a container logged last; empty where that is nothing, or the container is gone. */
export async function lastStoredLine(
  engine: Engine,
  { ref, name }: Pick<ObservedResource, "ref" | "name">,
  signal: AbortSignal,
): Promise<string> {
  const options: LogOptions = { select: [], follow: false, tail: TELLING_TAIL };
  const lines = await readStored(engine, { id: ref, instance: name }, options, signal);
  return tellingLine(lines.map(({ text }) => text));
}

interface Source {
  readonly id: string;
  readonly instance: string;
  readonly owner: string;
}

/** What is stored now, of all instances in the order of time. */
async function* storedLogs(
  engine: Engine,
  pipeline: string,
  options: LogOptions,
  signal: AbortSignal,
): AsyncGenerator<LogLine> {
  const sources = await selectedSources(engine, pipeline, options, signal);
  const all = await Promise.all(sources.map((source) => readStored(engine, source, options, signal)));
  const heads = all.map((lines, at) => ({ lines, source: sources[at] as Source, next: 0 }));
  for (;;) {
    let oldest: (typeof heads)[number] | undefined;
    for (const head of heads) {
      const line = head.lines[head.next];
      if (line === undefined) continue;
      const best = oldest?.lines[oldest.next];
      if (best === undefined || line.nanoseconds < best.nanoseconds) oldest = head;
    }
    const line = oldest?.lines[oldest.next];
    if (oldest === undefined || line === undefined) return;
    oldest.next++;
    yield logLine(oldest.source, line);
  }
}

async function readStored(
  engine: Engine,
  source: Pick<Source, "id" | "instance">,
  options: LogOptions,
  signal: AbortSignal,
): Promise<readonly TimedLine[]> {
  const query = logQuery(options, options.since === undefined ? undefined : BigInt(options.since) * 1_000_000n);
  const request = engine.call(`read the log of ${source.instance}`, signal, (docker) =>
    docker.getContainer(source.id).logs({ ...query, follow: false, abortSignal: signal }),
  );
  const buffer = await unlessCode(request, "docker/not-found");
  if (buffer === undefined) return [];
  const assembler = new LineAssembler();
  const lines = new LogFrameParser().push(Buffer.from(buffer)).flatMap((frame) => assembler.push(frame) ?? []);
  return [...lines, ...assembler.flush()];
}

/** Stored lines, then new ones, also of instances that start again or start later. */
async function* followLogs(
  engine: Engine,
  pipeline: string,
  options: LogOptions,
  signal: AbortSignal,
): AsyncGenerator<LogLine> {
  const outbox = new Outbox<LogLine>(signal);
  const followers = new Map<string, Follower>();
  const follow = (source: Source, query: LogOptions): void => {
    const known = followers.get(source.id);
    if (known !== undefined) {
      known.wake();
      return;
    }
    const follower = new Follower(engine, source, query, signal, outbox);
    followers.set(source.id, follower);
    follower.run().catch((error: unknown) => outbox.fail(error));
  };
  const connected = (): void => {
    list().catch((error: unknown) => outbox.fail(error));
  };
  const watch = async (): Promise<void> => {
    // Connected before the list is made, so that nothing starts in between unseen.
    for await (const event of engineEvents(engine, pipeline, signal, { connected })) {
      const source = sourceOf(event.Actor.ID, event.Actor.Attributes);
      if (source === undefined || !isSelected(source, options)) continue;
      if (event.Action === "start") follow(source, withoutTail(options));
      if (event.Action === "destroy") followers.delete(event.Actor.ID);
    }
  };
  const list = async (): Promise<void> => {
    for (const source of await selectedSources(engine, pipeline, options, signal)) {
      if (!followers.has(source.id)) follow(source, options);
    }
  };
  watch().catch((error: unknown) => outbox.fail(error));
  yield* outbox;
}

/** Follows one container through its restarts, and says no line twice. */
class Follower {
  readonly #engine: Engine;
  readonly #source: Source;
  readonly #options: LogOptions;
  readonly #signal: AbortSignal;
  readonly #outbox: Outbox<LogLine>;
  #from: bigint | undefined;
  #first = true;
  #running = false;
  #startedAgain = false;

  constructor(engine: Engine, source: Source, options: LogOptions, signal: AbortSignal, outbox: Outbox<LogLine>) {
    this.#engine = engine;
    this.#source = source;
    this.#options = options;
    this.#signal = signal;
    this.#outbox = outbox;
    this.#from = options.since === undefined ? undefined : BigInt(options.since) * 1_000_000n;
  }

  /** The container started again. */
  wake(): void {
    this.#startedAgain = true;
    if (!this.#running) this.run().catch((error: unknown) => this.#outbox.fail(error));
  }

  async run(): Promise<void> {
    this.#running = true;
    try {
      do {
        this.#startedAgain = false;
        await this.#once();
      } while (this.#startedAgain || (await this.#stillRuns()));
    } finally {
      this.#running = false;
    }
  }

  async #stillRuns(): Promise<boolean> {
    return (await inspectContainer(this.#engine, this.#source.id, this.#signal))?.State.Running ?? false;
  }

  async #once(): Promise<void> {
    const what = `follow the log of ${this.#source.instance}`;
    const query = logQuery(this.#first ? this.#options : withoutTail(this.#options), this.#from);
    this.#first = false;
    const request = this.#engine.call(what, this.#signal, (docker) =>
      docker.getContainer(this.#source.id).logs({ ...query, follow: true, abortSignal: this.#signal }),
    );
    const stream = (await unlessCode(request, "docker/not-found", "docker/conflict")) as Readable | undefined;
    if (stream === undefined) return;
    const frames = new LogFrameParser();
    const assembler = new LineAssembler();
    try {
      for await (const chunk of stream) {
        for (const frame of frames.push(chunk as Buffer)) {
          const line = assembler.push(frame);
          if (line !== undefined) await this.#emit(line);
        }
      }
    } catch (error) {
      throw engineError(error, what, this.#engine.endpoint, this.#signal);
    }
    if (frames.incomplete) throw streamEnded(what);
    for (const line of assembler.flush()) await this.#emit(line);
  }

  async #emit(line: TimedLine): Promise<void> {
    if (line.nanoseconds >= (this.#from ?? 0n)) this.#from = line.nanoseconds + 1n;
    await this.#outbox.put(logLine(this.#source, line));
  }
}

/** The engine takes times as seconds with nine decimals, and gives what is stamped at that very time too. */
function logQuery(options: LogOptions, from: bigint | undefined) {
  const time = (nanoseconds: bigint): string => {
    return `${nanoseconds / 1_000_000_000n}.${String(nanoseconds % 1_000_000_000n).padStart(9, "0")}`;
  };
  return {
    stdout: true,
    stderr: true,
    timestamps: true,
    ...(from === undefined ? {} : { since: time(from) as unknown as number }),
    ...(options.until === undefined ? {} : { until: time(BigInt(options.until) * 1_000_000n) as unknown as number }),
    ...(options.tail === undefined ? {} : { tail: options.tail }),
  };
}

async function selectedSources(
  engine: Engine,
  pipeline: string,
  options: LogOptions,
  signal: AbortSignal,
): Promise<Source[]> {
  const containers = await listContainers(engine, pipeline, signal);
  return containers
    .flatMap(({ Id, Labels }) => sourceOf(Id, Labels) ?? [])
    .filter((source) => isSelected(source, options))
    .sort((a, b) => (a.instance < b.instance ? -1 : 1));
}

/** Undefined for a container that flowctl did not make. */
function sourceOf(id: string, text: Readonly<Record<string, string>>): Source | undefined {
  const labels = readLabels(text);
  if (labels === undefined) return undefined;
  const { kind, owner, index } = labels;
  const instance = kind === "control-plane" ? owner : kind === "engine-access" ? kind : instanceId(owner, index);
  return { id, owner, instance };
}

function logLine({ instance, owner }: Source, { stream, nanoseconds, text }: TimedLine): LogLine {
  return { instance, owner, stream, time: Number(nanoseconds / 1_000_000n), text };
}

function withoutTail({ tail: _, ...options }: LogOptions): LogOptions {
  return options;
}
