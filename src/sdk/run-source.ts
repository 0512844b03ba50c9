import { setMaxListeners } from "node:events";
import { FlowctlError } from "../foundation/errors.ts";
import type { Assignment, Partition } from "../protocol/records.ts";
import type { AssignmentFeed, AssignmentNews } from "./assignment-feed.ts";
import type { SourceDefinition } from "./component.ts";
import { PartitionReader } from "./partition-reader.ts";
import { aborted, finish, type Outcome, type Runtime } from "./runtime.ts";

/** What a source shares between its instances; one part that is everything, unless it says otherwise. */
export async function partitionsOf(
  definition: SourceDefinition<unknown, unknown>,
  config: unknown,
): Promise<readonly Partition[]> {
  const partitions = (await definition.partitions?.({ config })) ?? [{ id: "", identity: "" }];
  if (partitions.length > 0) return partitions;
  throw new FlowctlError({
    code: "sdk/no-partitions",
    kind: "invalid",
    message: `${definition.name} has nothing to read: partitions() returned an empty list`,
    fix: "return at least one partition",
  });
}

/** Runs a source until all that its instances share has ended, or until it is told to stop. */
export async function runSource(
  definition: SourceDefinition<unknown, unknown>,
  runtime: Runtime,
  feed: AssignmentFeed,
): Promise<Outcome> {
  const { stopping, deadline, log } = runtime;
  // Each partition listens.
  setMaxListeners(0, stopping, deadline);
  const readers = new Readers(definition, await partitionsOf(definition, runtime.context.config), runtime);
  feed.held = () => readers.held();
  try {
    runtime.started();
    feed.follow((news) => readers.follow(news));
    await Promise.race([readers.finished, readers.failed, aborted(stopping)]);
    const ended = !runtime.halted.aborted;
    if (ended) log.info("end of data");
    await Promise.race([readers.ended(), readers.failed, aborted(deadline)]);
    return await finish(runtime, ended, () => readers.flush(deadline));
  } finally {
    await readers.close();
  }
}

/** The partitions that this instance reads, by what the control plane says. */
class Readers {
  private readonly definition: SourceDefinition<unknown, unknown>;
  private readonly declared: ReadonlySet<string>;
  private readonly runtime: Runtime;
  private readonly readers = new Map<string, Reading>();
  /** By partition: the epoch up to which it is done with. What is said of it under that epoch is old news. */
  private readonly done = new Map<string, number>();
  /** Partitions that are given back, while the author's code still closes them. */
  private readonly closing = new Set<string>();
  /** What was heard last. */
  private news: AssignmentNews = {};
  private standsBy = false;
  private finish: () => void = () => undefined;
  private fail: (error: unknown) => void = () => undefined;
  /** Every partition is finished, whoever read it. */
  readonly finished = new Promise<void>((resolve) => {
    this.finish = resolve;
  });
  /** Rejects with what the author's code rejected with. */
  readonly failed = new Promise<never>((_, reject) => {
    this.fail = reject;
  });

  constructor(definition: SourceDefinition<unknown, unknown>, declared: readonly Partition[], runtime: Runtime) {
    this.definition = definition;
    this.declared = new Set(declared.map(({ id, identity }) => keyOf({ partition: id, identity })));
    this.runtime = runtime;
    // Looked at by whoever runs; a failure that comes while that ends must not count as unhandled.
    this.failed.catch(() => undefined);
  }

  /** Takes part in what is assigned from now on, and gives back what is revoked. */
  follow(news: AssignmentNews): void {
    const { assignments = [], partitionsFinished = false } = news;
    this.news = news;
    for (const assignment of assignments) {
      const key = keyOf(assignment);
      if (assignment.epoch <= (this.done.get(key) ?? 0) || this.closing.has(key)) continue;
      const known = this.readers.get(key);
      if (known === undefined) {
        // One that this program does not know is its successor's, which was started with other settings.
        if (this.declared.has(key) || assignment.revoked) this.begin(key, assignment);
      } else if (assignment.revoked && assignment.epoch === known.reader.assignment.epoch) {
        known.reader.revoke();
      }
    }
    if (partitionsFinished) this.finish();
    else this.tellStandby(assignments.length === 0);
  }

  held(): readonly Assignment[] {
    return [...this.readers.values()].map(({ reader: { assignment } }) => ({
      partition: assignment.partition,
      identity: assignment.identity,
      epoch: assignment.epoch,
      revoked: false,
    }));
  }

  /** Resolves when nothing is read any more. */
  async ended(): Promise<void> {
    await Promise.all([...this.readers.values()].map(({ over }) => over));
  }

  async flush(signal: AbortSignal): Promise<boolean> {
    const flushed = await Promise.all([...this.readers.values()].map(({ reader }) => reader.flush(signal)));
    return flushed.every(Boolean);
  }

  async close(): Promise<void> {
    for (const { reader } of this.readers.values()) reader.revoke();
    await Promise.all([...this.readers.values()].map(({ reader }) => reader.close()));
  }

  private begin(key: string, assignment: Assignment): void {
    if (this.runtime.stopping.aborted) return;
    const reader = new PartitionReader(this.definition, assignment, this.runtime);
    const over = (assignment.revoked ? reader.release() : reader.read())
      .then(async (outcome) => {
        if (outcome === "stopped") return;
        this.done.set(key, assignment.epoch);
        this.readers.delete(key);
        this.closing.add(key);
        await reader.close();
        this.closing.delete(key);
        // It may have been assigned again meanwhile.
        this.follow(this.news);
      })
      .catch((error: unknown) => this.fail(error));
    this.readers.set(key, { reader, over });
  }

  private tellStandby(standsBy: boolean): void {
    if (standsBy && !this.standsBy) this.runtime.log.info("on standby: other instances read all partitions");
    this.standsBy = standsBy;
  }
}

interface Reading {
  readonly reader: PartitionReader;
  readonly over: Promise<void>;
}

function keyOf({ partition, identity }: Pick<Assignment, "partition" | "identity">): string {
  return JSON.stringify([partition, identity]);
}
