import { expect } from "vitest";
import type { FlowctlError } from "../../foundation/errors.ts";
import { EventEncoder } from "../../protocol/event-encoder.ts";
import type { EventView } from "../../protocol/event-view.ts";
import type { Downstream } from "../../protocol/records.ts";
import { decodeResponse, eventsOf, type OutgoingBatch } from "../../protocol/stream-codec.ts";
import type { Receipt } from "../receipt.ts";
import type { Member, MemberTransport } from "./member.ts";
import { Publisher } from "./publisher.ts";

const encoder = new EventEncoder();
const NOWHERE = { add: () => undefined };

export function event(n: number, key = "", type = "t"): EventView {
  return encoder.encode({
    id: `n-${n}`,
    type,
    payload: JSON.stringify({ n, key }),
    metadata: undefined,
    timestamp: undefined,
    sourceComponentId: "s",
    contentType: "",
  });
}

/** One with so many bytes of payload. */
export function largeEvent(bytes: number): EventView {
  return encoder.encode({
    id: "large",
    type: "t",
    payload: Buffer.alloc(bytes, "x"),
    metadata: undefined,
    timestamp: undefined,
    sourceComponentId: "s",
    contentType: "",
  });
}

export function group(id: string, more: Partial<Downstream> = {}): Downstream {
  return { componentId: id, types: [], partitionBy: "", desiredInstances: 1, deadLetters: false, ...more };
}

/** A receipt that is told of events whose tags follow each other at once, as those of components are. */
export function inRuns(settle: (tag: number) => void): Receipt {
  return {
    settle,
    settleRun: (first, count) => {
      for (let tag = first; tag < first + count; tag++) settle(tag);
    },
  };
}

/** A downstream instance: keeps what it was sent, in order, with its sequence numbers. */
export class Peer implements MemberTransport {
  readonly got: { sequence: number; event: EventView }[] = [];
  ended: number | undefined;
  failure: FlowctlError | undefined;
  acked = 0;
  creditSequence = 0;
  full = false;
  member: Member | undefined;

  send(batch: OutgoingBatch): boolean {
    const message = batch.toBuffer();
    const response = decodeResponse(message, NOWHERE);
    if (response.kind !== "batch") throw new Error(`unexpected ${response.kind}`);
    eventsOf(message).forEach((view, i) => {
      expect(response.firstSequence + i).toBe(this.got.length + 1);
      this.got.push({ sequence: response.firstSequence + i, event: view });
    });
    expect(this.got.length).toBeLessThanOrEqual(this.creditSequence);
    return !this.full;
  }

  finish(message: Buffer): void {
    const response = decodeResponse(message, NOWHERE);
    if (response.kind !== "end") throw new Error(`unexpected ${response.kind}`);
    this.ended = response.lastSequence;
  }

  fail(error: FlowctlError): void {
    this.failure = error;
  }

  ids(): string[] {
    return this.got.map(({ event: view }) => view.id);
  }
}

/** A publisher that does what it deferred when it is told to. */
export function setUp(groups: readonly Downstream[], limits: { maxEvents?: number; maxBytes?: number } = {}) {
  let deferred: (() => void)[] = [];
  const timers = new Set<() => void>();
  const publisher = new Publisher({
    ...limits,
    defer: (action) => deferred.push(action),
    schedule: (_ms, action) => {
      timers.add(action);
      return () => timers.delete(action);
    },
  });
  publisher.setGroups(groups);
  const settled: number[] = [];
  return {
    publisher,
    settled,
    publish: (n: number, key?: string, type?: string) =>
      publisher.publish(event(n, key, type), { settle: () => settled.push(n) }),
    turn: () => {
      const actions = deferred;
      deferred = [];
      for (const action of actions) action();
    },
    fireTimers: () => {
      const due = [...timers];
      timers.clear();
      for (const action of due) action();
    },
    connect: (groupId: string, instance: string, maxSequence = 1000, maxBytes = 1e9): Peer => {
      const peer = new Peer();
      peer.creditSequence = maxSequence;
      peer.member = publisher.attach(groupId, instance, peer, { maxSequence, maxBytes });
      return peer;
    },
  };
}
