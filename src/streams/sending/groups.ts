import { FlowctlError } from "../../foundation/errors.ts";
import type { Downstream } from "../../protocol/records.ts";
import { Group, type GroupEnvironment } from "./group.ts";

/** The groups below a component, as the topology says, and what is left of those that are gone. */
export class Groups {
  private readonly environment: GroupEnvironment;
  private readonly byId = new Map<string, Group>();
  private list: readonly Group[] = [];
  /** A topology was received. */
  private informed = false;
  /** By groups that are gone. */
  private droppedBefore = 0;
  /** Groups that are gone, until their buffers on disk are closed. */
  private readonly closing = new Set<Promise<void>>();
  /** The largest mark that any group was given. */
  heardMark = 0;

  constructor(environment: GroupEnvironment) {
    this.environment = environment;
  }

  get all(): readonly Group[] {
    return this.list;
  }

  get dropped(): number {
    return this.list.reduce((sum, { dropped }) => sum + dropped, this.droppedBefore);
  }

  /** See `Publisher.setGroups`. */
  redefine(downstreams: readonly Downstream[]): void {
    this.informed = true;
    const wanted = byGroup(downstreams);
    const gone = [...this.byId].filter(([id]) => !wanted.has(id));
    for (const [id, definitions] of wanted) {
      const plain = definitions.map(({ mark: _, ...definition }) => definition);
      const existing = this.byId.get(id);
      if (existing !== undefined) existing.redefine(plain);
      else this.byId.set(id, new Group(id, plain, this.environment));
      for (const { mark = 0 } of definitions) {
        this.heardMark = Math.max(this.heardMark, mark);
        this.byId.get(id)!.setMark(mark);
      }
    }
    this.remove(
      gone.map(([, group]) => group),
      wanted,
    );
    this.list = [...this.byId.values()];
  }

  /** Undefined for one that is gone, or never was. */
  get(id: string): Group | undefined {
    return this.byId.get(id);
  }

  /** Throws `stream/unknown-group` when the topology has no such group, and `stream/not-ready` before there was a topology. */
  require(id: string): Group {
    const group = this.byId.get(id);
    if (group !== undefined) return group;
    if (this.informed) {
      throw new FlowctlError({
        code: "stream/unknown-group",
        kind: "not-found",
        message: `${id} takes no input from this component`,
        fix: `add this component to the inputs of ${id}`,
      });
    }
    throw new FlowctlError({
      code: "stream/not-ready",
      kind: "unavailable",
      message: "this component has not received its topology yet",
      fix: "reconnect in a moment",
    });
  }

  /** Closes their buffers on disk; what is in them stays for the next run. */
  async close(): Promise<void> {
    for (const group of this.list) await group.close();
    await Promise.all(this.closing);
  }

  /** What they were owed goes to those that take over from them: each event once, in order, however many of them were owed it. */
  private remove(gone: readonly Group[], wanted: ReadonlyMap<string, readonly Downstream[]>): void {
    const inherited = new Map<Group, Set<number>>();
    const parted = gone.map((group) => {
      this.byId.delete(group.id);
      const heirs = [...wanted]
        .filter(([, definitions]) => definitions.some(({ takesOver = [] }) => takesOver.includes(group.id)))
        .map(([id]) => this.byId.get(id)!);
      const owed = group.part(groupRemoved(group.id), heirs.length > 0);
      for (const heir of heirs) {
        const positions = inherited.get(heir) ?? new Set();
        for (const position of owed) positions.add(position);
        inherited.set(heir, positions);
      }
      return { group, owed };
    });
    for (const [heir, positions] of inherited) heir.takeOver([...positions].sort((a, b) => a - b));
    for (const { group, owed } of parted) {
      group.dissolve(owed);
      this.droppedBefore += group.dropped;
      const closing: Promise<void> = group.close().finally(() => this.closing.delete(closing));
      this.closing.add(closing);
    }
  }
}

function groupRemoved(id: string): FlowctlError {
  return new FlowctlError({
    code: "stream/group-removed",
    kind: "not-found",
    message: `${id} was removed from the topology of this component`,
  });
}

function byGroup(downstreams: readonly Downstream[]): Map<string, Downstream[]> {
  const groups = new Map<string, Downstream[]>();
  for (const downstream of downstreams) {
    const known = groups.get(downstream.componentId);
    if (known === undefined) groups.set(downstream.componentId, [downstream]);
    else known.push(downstream);
  }
  return groups;
}
