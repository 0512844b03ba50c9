import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import type { BufferSpec } from "../../protocol/records.ts";
import { Outlet } from "./outlet.ts";
import { event, group, Peer, setUp } from "./publisher-world.fake.ts";

let folder: string;

beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), "flowctl-marks-"));
});

afterEach(async () => {
  await rm(folder, { recursive: true, force: true });
});

async function until(condition: () => boolean): Promise<void> {
  while (!condition()) await new Promise((resolve) => setTimeout(resolve, 1));
}

describe("a mark of a group", () => {
  it("is settled at once where nothing is owed, and an older one changes nothing", () => {
    const { publisher } = setUp([group("a")]);
    expect(publisher.settledMarks()).toEqual({});
    publisher.setGroups([group("a", { mark: 3 }), group("b", { mark: 3 })]);
    expect(publisher.settledMarks()).toEqual({ a: 3, b: 3 });
    publisher.setGroups([group("a", { mark: 2 }), group("b")]);
    expect(publisher.settledMarks()).toEqual({ a: 3, b: 3 });
  });

  it("is settled when what was owed then is acknowledged by its own members, whatever others do and whatever comes later", () => {
    const groups = (mark?: number) => [
      group("a", { desiredInstances: 2, ...(mark === undefined ? {} : { mark }) }),
      group("slow"),
    ];
    const { publisher, publish, turn, fireTimers, connect } = setUp(groups());
    const [one, two] = [connect("a", "a-1", 2), connect("a", "a-2", 1)];
    const allow = (peer: Peer, maxSequence: number): void => {
      peer.creditSequence = maxSequence;
      peer.member?.grant({ maxSequence, maxBytes: 1e9 });
    };
    for (let n = 1; n <= 5; n++) publish(n);
    turn();
    publisher.setGroups(groups(1));
    publish(6);
    turn();
    expect([one.got.length, two.got.length]).toEqual([2, 1]);
    expect(publisher.awaitsMarks).toBe(true);
    // Two are still to be sent.
    one.member?.ack(2);
    two.member?.ack(1);
    expect(publisher.settledMarks()).toEqual({});
    allow(one, 3);
    allow(two, 2);
    turn();
    expect([...one.ids(), ...two.ids()].sort()).toEqual(["n-1", "n-2", "n-3", "n-4", "n-5"]);
    // One is to be sent again.
    one.member?.nack(3);
    one.member?.ack(3);
    two.member?.ack(2);
    expect(publisher.settledMarks()).toEqual({});
    const third = connect("a", "a-3", 10);
    turn();
    fireTimers();
    turn();
    expect(third.got.length).toBe(2);
    expect(publisher.settledMarks()).toEqual({});
    const again = third.ids().findIndex((id) => id !== "n-6");
    third.member?.ack(again + 1);
    expect(publisher.settledMarks()).toEqual({ a: 1 });
    expect(publisher.awaitsMarks).toBe(false);
  });

  it("waits for the rest of what a member has that refused some of it", () => {
    const { publisher, publish, turn, fireTimers, connect } = setUp([group("a", { desiredInstances: 2 })]);
    const one = connect("a", "a-1", 3);
    for (let n = 1; n <= 3; n++) publish(n);
    turn();
    publisher.setGroups([group("a", { desiredInstances: 2, mark: 1 })]);
    one.member?.nack(2);
    const two = connect("a", "a-2", 10);
    turn();
    fireTimers();
    turn();
    expect([one.ids(), two.ids()]).toEqual([["n-1", "n-2", "n-3"], ["n-2"]]);
    two.member?.ack(1);
    expect(publisher.settledMarks()).toEqual({});
    one.member?.ack(1);
    expect(publisher.settledMarks()).toEqual({});
    one.member?.ack(3);
    expect(publisher.settledMarks()).toEqual({ a: 1 });
  });

  it("does not wait for a member to pass over what it refused and another has acknowledged", () => {
    const { publisher, publish, turn, fireTimers, connect } = setUp([group("a", { desiredInstances: 2 })]);
    const one = connect("a", "a-1", 2);
    for (let n = 1; n <= 2; n++) publish(n);
    turn();
    publisher.setGroups([group("a", { desiredInstances: 2, mark: 1 })]);
    one.member?.nack(2);
    one.member?.ack(1);
    const two = connect("a", "a-2", 10);
    turn();
    fireTimers();
    turn();
    two.member?.ack(1);
    expect(publisher.settledMarks()).toEqual({ a: 1 });
  });

  it.each<[string, BufferSpec, BufferSpec | undefined]>([
    ["in memory that drops", { type: "memory", maxEvents: 100, maxBytes: 0, whenFull: "drop_newest" }, undefined],
    ["on disk", { type: "disk", maxEvents: 100, maxBytes: 0, whenFull: "block" }, undefined],
    ["on disk that drops", { type: "disk", maxEvents: 100, maxBytes: 0, whenFull: "drop_oldest" }, undefined],
    [
      "on disk that becomes one in memory meanwhile",
      { type: "disk", maxEvents: 100, maxBytes: 0, whenFull: "block" },
      { type: "memory", maxEvents: 100, maxBytes: 0, whenFull: "block" },
    ],
  ])("is settled when what was in its buffer then is acknowledged: %s", async (_, buffer, later) => {
    const outlet = new Outlet({ folder, onFailure: (error) => expect.fail(String(error)) });
    outlet.setGroups([group("a", { buffer })]);
    for (let n = 1; n <= 10; n++) outlet.publish(event(n), { settle: () => undefined });
    outlet.setGroups([group("a", { buffer, mark: 1 })]);
    for (let n = 11; n <= 20; n++) outlet.publish(event(n), { settle: () => undefined });
    if (later !== undefined) outlet.setGroups([group("a", { buffer: later, mark: 1 })]);
    const peer = new Peer();
    peer.creditSequence = 1000;
    peer.member = outlet.attach("a", "a-1", peer, { maxSequence: 1000, maxBytes: 1e9 });
    await until(() => peer.got.length === 20);
    peer.member.ack(9);
    await new Promise((resolve) => setImmediate(resolve));
    expect(outlet.settledMarks()).toEqual({});
    peer.member.ack(20);
    await until(() => outlet.settledMarks().a === 1);
    await outlet.close();
  });
});
