import { join } from "node:path";
import type { FlowctlError } from "../foundation/errors.ts";
import type { EventView } from "../protocol/event-view.ts";
import type { Downstream, Slack } from "../protocol/records.ts";
import type { Credit } from "../protocol/stream-codec.ts";
import { DiskBuffer } from "./disk-buffer.ts";
import type { Receipt } from "./event-log.ts";
import type { Member, MemberTransport } from "./member.ts";
import { Publisher, type PublisherCounters, type PublisherOptions } from "./publisher.ts";

export interface OutletOptions extends PublisherOptions {
  /** Where buffers on disk lie; a folder of the instance's own. */
  readonly folder: string;
  /** A buffer on disk failed: nothing can be promised any more. */
  readonly onFailure: (error: FlowctlError) => void;
}

/**
 * The sending side of a component as its runtime sees it: a publisher, and for each group whose input asks for a buffer on
 * disk, that buffer between the publisher and the group.
 */
export class Outlet {
  private readonly options: OutletOptions;
  private readonly publisher: Publisher;
  private readonly buffers = new Map<string, DiskBuffer>();
  private droppedBefore = 0;

  constructor(options: OutletOptions) {
    this.options = options;
    this.publisher = new Publisher(options);
  }

  /** The groups below, as the topology says; see `Publisher.setGroups`. */
  setGroups(downstreams: readonly Downstream[]): void {
    this.publisher.setGroups(downstreams);
    for (const [id, buffer] of this.buffers) {
      if (downstreams.some(({ componentId, buffer: wanted }) => componentId === id && wanted?.type === "disk"))
        continue;
      this.buffers.delete(id);
      this.droppedBefore += buffer.dropped;
      void buffer.close().catch(this.options.onFailure);
    }
    for (const definition of downstreams) {
      const { componentId, buffer } = definition;
      if (buffer?.type !== "disk") continue;
      const known = this.buffers.get(componentId);
      if (known !== undefined) known.redefine(definition);
      else this.buffers.set(componentId, this.makeBuffer(definition, buffer));
    }
  }

  /** What groups without a buffer of their own may be behind, besides the usual; see `Topology.slack`. */
  setSlack(slack: Slack): void {
    this.publisher.setSlack(slack);
  }

  /** Takes one event; see `Publisher.publish`. */
  publish(event: EventView, receipt: Receipt, tag = 0, deadLetter = false): void {
    this.publisher.publish(event, receipt, tag, deadLetter);
  }

  room(): Promise<void> | undefined {
    return this.publisher.room();
  }

  get hasRoom(): boolean {
    return this.publisher.hasRoom;
  }

  relax(): void {
    this.publisher.relax();
  }

  attach(groupId: string, instanceId: string, transport: MemberTransport, credit: Credit): Member {
    const buffer = this.buffers.get(groupId);
    return (
      buffer?.attach(instanceId, transport, credit) ?? this.publisher.attach(groupId, instanceId, transport, credit)
    );
  }

  detach(groupId: string, member: Member): void {
    const buffer = this.buffers.get(groupId);
    if (buffer === undefined) this.publisher.detach(groupId, member);
    else buffer.detach(member);
  }

  /** Nothing will be published any more; see `Publisher.end`. What is in a buffer on disk is handed over before. */
  end(): void {
    this.publisher.end();
  }

  /** Resolves when every group has acknowledged everything, or has it in its buffer on disk. */
  async acknowledged(): Promise<void> {
    await this.publisher.drained();
  }

  /** Resolves when every group has acknowledged everything, what is in its buffer on disk included. */
  async drained(): Promise<void> {
    await this.publisher.drained();
    for (const buffer of this.buffers.values()) await buffer.drained();
  }

  /** Downstream instances that are connected. */
  get connected(): number {
    let count = this.publisher.connected - this.buffers.size;
    for (const buffer of this.buffers.values()) count += buffer.connected;
    return Math.max(0, count);
  }

  counters(): PublisherCounters {
    const own = this.publisher.counters();
    if (this.buffers.size === 0) return own;
    const waiting = { ...own.waiting };
    let { blocked } = own;
    let dropped = own.dropped + this.droppedBefore;
    for (const [id, buffer] of this.buffers) {
      waiting[id] = (waiting[id] ?? 0) + buffer.waiting;
      dropped += buffer.dropped;
      blocked ||= buffer.blocked;
    }
    return { ...own, waiting, blocked, dropped };
  }

  /** Closes the buffers on disk; what is in them stays for the next run. */
  async close(): Promise<void> {
    for (const buffer of this.buffers.values()) await buffer.close();
  }

  private makeBuffer(definition: Downstream, buffer: NonNullable<Downstream["buffer"]>): DiskBuffer {
    return DiskBuffer.start({
      folder: join(this.options.folder, "buffers", definition.componentId),
      definition,
      buffer,
      upstream: this.publisher,
      onFailure: this.options.onFailure,
    });
  }
}
