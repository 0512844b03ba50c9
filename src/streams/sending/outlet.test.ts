import { type FileHandle, mkdtemp, open as openFile, readdir, rename, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import type { OutgoingBatch } from "../../protocol/stream-codec.ts";
import { Outlet } from "./outlet.ts";
import { event, group, largeEvent, Peer } from "./publisher-world.fake.ts";

let folder: string;

beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), "flowctl-outlet-"));
});

afterEach(async () => {
  await rm(folder, { recursive: true, force: true });
});

async function until(condition: () => boolean): Promise<void> {
  while (!condition()) await new Promise((resolve) => setTimeout(resolve, 1));
}

describe("an outlet", () => {
  it("counts as held up by those that are connected, not while nobody is there", async () => {
    const outlet = new Outlet({ folder, onFailure: () => undefined, maxEvents: 3 });
    outlet.setGroups([group("out")]);
    for (let n = 1; n <= 3; n++) outlet.publish(event(n), { settle: () => undefined });
    expect(outlet).toMatchObject({ hasRoom: false });
    expect(outlet.counters()).toMatchObject({ waiting: { out: 3 }, blocked: false });
    const peer = new Peer();
    peer.creditSequence = 1;
    const member = outlet.attach("out", "out-1", peer, { maxSequence: 1, maxBytes: 1e9 });
    expect(outlet.counters()).toMatchObject({ waiting: { out: 2 }, blocked: true });
    outlet.detach("out", member);
    expect(outlet.counters().blocked).toBe(false);
    await outlet.close();
  });
});

describe("an outlet to an input with a buffer on disk", () => {
  const disk = (whenFull: "block" | "drop_newest" | "drop_oldest", maxEvents = 1000) =>
    group("slow", { buffer: { type: "disk", maxEvents, maxBytes: 0, whenFull } });
  const failures: unknown[] = [];
  const open = (definition: ReturnType<typeof disk>, maxEvents?: number): Outlet => {
    const outlet = new Outlet({
      folder,
      onFailure: (error) => failures.push(error),
      ...(maxEvents === undefined ? {} : { maxEvents }),
    });
    outlet.setGroups([definition]);
    return outlet;
  };
  const connect = (outlet: Outlet): Peer => {
    const peer = new Peer();
    peer.creditSequence = 1e6;
    peer.member = outlet.attach("slow", "slow-1", peer, { maxSequence: 1e6, maxBytes: 1e9 });
    return peer;
  };

  it("acknowledges events that are on the disk, and gives them to the group when it comes", async () => {
    const outlet = open(disk("block"));
    const settled: number[] = [];
    for (let n = 1; n <= 50; n++) outlet.publish(event(n), { settle: () => settled.push(n) });
    await until(() => settled.length === 50);
    const peer = connect(outlet);
    await until(() => peer.got.length === 50);
    peer.member?.ack(50);
    await outlet.drained();
    expect(peer.ended).toBeUndefined();
    outlet.end();
    await until(() => peer.ended !== undefined);
    expect(peer.ended).toBe(50);
    expect(failures).toEqual([]);
    await outlet.close();
  });

  it("is drained only when the group has acknowledged what an earlier run left", async () => {
    const crashed = open(disk("block"));
    const settled: number[] = [];
    for (let n = 1; n <= 10; n++) crashed.publish(event(n), { settle: () => settled.push(n) });
    await until(() => settled.length === 10);
    const successor = open(disk("block"));
    let drained = false;
    const draining = successor.drained().then(() => {
      drained = true;
    });
    const peer = connect(successor);
    await until(() => peer.got.length === 10);
    peer.member?.ack(9);
    await new Promise((resolve) => setImmediate(resolve));
    expect(drained).toBe(false);
    peer.member?.ack(10);
    await draining;
    await successor.close();
    await crashed.close();
  });

  it("still has after a crash what the group had not acknowledged", async () => {
    const crashed = open(disk("block"));
    const settled: number[] = [];
    for (let n = 1; n <= 30; n++) crashed.publish(event(n), { settle: () => settled.push(n) });
    await until(() => settled.length === 30);
    const first = connect(crashed);
    await until(() => first.got.length === 30);
    first.member?.ack(10);
    // No close: what a killed process leaves is what is on the disk now.
    const successor = open(disk("block"));
    const peer = connect(successor);
    await until(() => peer.got.length >= 20);
    const seen = new Set(peer.ids());
    for (let n = 11; n <= 30; n++) expect(seen.has(`n-${n}`)).toBe(true);
    await successor.close();
    await crashed.close();
  });

  it("does not send again what was acknowledged right before it was closed", async () => {
    const outlet = open(disk("block"));
    const settled: number[] = [];
    for (let n = 1; n <= 50; n++) outlet.publish(event(n), { settle: () => settled.push(n) });
    const peer = connect(outlet);
    await until(() => settled.length === 50 && peer.got.length === 50);
    peer.member?.ack(40);
    await outlet.close();
    const successor = open(disk("block"));
    const next = connect(successor);
    await until(() => next.got.length >= 10);
    expect(next.ids()).toEqual(peer.ids().slice(40));
    await successor.close();
  });

  it("gives nothing more once it is to rest, and rests when what it gave is acknowledged or given back", async () => {
    const outlet = open(disk("block"));
    const settled: number[] = [];
    for (let n = 1; n <= 50; n++) outlet.publish(event(n), { settle: () => settled.push(n) });
    const peer = new Peer();
    peer.creditSequence = 30;
    peer.member = outlet.attach("slow", "slow-1", peer, { maxSequence: 30, maxBytes: 1e9 });
    await until(() => settled.length === 50 && peer.got.length === 30);
    let rests = false;
    const resting = outlet.rested().then(() => {
      rests = true;
    });
    peer.creditSequence = 100;
    peer.member.ack(29, { maxSequence: 100, maxBytes: 1e9 });
    await new Promise((resolve) => setImmediate(resolve));
    expect([rests, peer.got.length]).toEqual([false, 30]);
    outlet.detach("slow", peer.member);
    await resting;
    const other = connect(outlet);
    await outlet.close();
    expect(other.got).toEqual([]);
    const successor = open(disk("block"));
    const next = connect(successor);
    await until(() => next.got.length === 21);
    expect(next.ids()[0]).toBe("n-30");
    await successor.close();
  });

  it("holds nobody up any more once it is to drop, with what waited before there was a buffer neither", async () => {
    const outlet = open(group("slow") as ReturnType<typeof disk>);
    const settled: number[] = [];
    const publish = (n: number): void => outlet.publish(event(n), { settle: () => settled.push(n) });
    const peer = new Peer();
    peer.creditSequence = 2;
    for (let n = 1; n <= 4; n++) publish(n);
    peer.member = outlet.attach("slow", "slow-1", peer, { maxSequence: 2, maxBytes: 1e9 });
    outlet.setGroups([disk("block")]);
    await until(() => settled.length === 2);
    // The instance has the others, and keeps them.
    expect([...settled].sort()).toEqual([3, 4]);
    outlet.setGroups([disk("drop_oldest")]);
    await until(() => settled.length === 4);
    peer.creditSequence = 10;
    peer.member.ack(2, { maxSequence: 10, maxBytes: 1e9 });
    await until(() => peer.got.length === 4);
    expect(peer.ids()).toEqual(["n-1", "n-2", "n-3", "n-4"]);
    await outlet.close();
  });

  it("keeps what is on the disk for a group that comes back while its former queue is still being removed", async () => {
    const outlet = open(disk("block"));
    const first = connect(outlet);
    const settled: number[] = [];
    const publish = (from: number, to: number): void => {
      for (let n = from; n <= to; n++) outlet.publish(event(n), { settle: () => settled.push(n) });
    };
    publish(1, 10);
    await until(() => first.got.length === 10);
    first.member?.ack(10);
    await outlet.drained();
    // Empty and no longer the newest: its folder goes.
    outlet.setGroups([group("slow")]);
    outlet.setGroups([]);
    outlet.setGroups([disk("block")]);
    publish(11, 60);
    await until(() => settled.length === 60);
    await outlet.close();
    const successor = open(disk("block"));
    const next = connect(successor);
    let isOver = false;
    void successor.drained().then(() => {
      isOver = true;
    });
    await until(() => {
      next.member?.ack(next.got.length);
      return isOver;
    });
    expect(next.ids()).toEqual(Array.from({ length: 50 }, (_, i) => `n-${i + 11}`));
    expect(failures).toEqual([]);
    await successor.close();
  });

  it("leaves no folder behind when its group goes and it is empty", async () => {
    const outlet = open(disk("block"));
    const peer = connect(outlet);
    for (let n = 1; n <= 10; n++) outlet.publish(event(n), { settle: () => undefined });
    await until(() => peer.got.length === 10);
    peer.member?.ack(10);
    await outlet.drained();
    outlet.setGroups([]);
    await outlet.close();
    expect(await readdir(join(folder, "buffers"))).toEqual([]);
  });

  it("is added, taken away, changed and made one in memory while events flow, without a loss or a repetition", async () => {
    const outlet = open(disk("block"));
    const peer = connect(outlet);
    const memory = { type: "memory", maxEvents: 50, maxBytes: 0, whenFull: "block" } as const;
    const kinds = [group("slow"), disk("block"), group("slow"), group("slow", { buffer: memory }), disk("block", 20)];
    const settled: number[] = [];
    let published = 0;
    const acknowledge = (): void => {
      peer.acked = peer.got.length;
      peer.member?.ack(peer.acked);
    };
    while (published < 20_000) {
      if (published % 1000 === 0) outlet.setGroups([kinds[(published / 1000) % kinds.length]!]);
      const n = ++published;
      outlet.publish(event(n), { settle: () => settled.push(n) });
      while (!outlet.hasRoom) {
        acknowledge();
        await new Promise((resolve) => setImmediate(resolve));
      }
    }
    outlet.setGroups([group("slow")]);
    await until(() => {
      acknowledge();
      return peer.got.length >= published && settled.length === published;
    });
    await outlet.drained();
    expect(peer.ids()).toEqual(Array.from({ length: published }, (_, i) => `n-${i + 1}`));
    expect(outlet.counters()).toMatchObject({ inFlight: 0, dropped: 0, waiting: { slow: 0 }, blocked: false });
    outlet.end();
    expect(peer.ended).toBe(published);
    await outlet.close();
    expect(await readdir(join(folder, "buffers"))).toEqual([]);
    expect(failures).toEqual([]);
  });

  it("blocks when it is full, and goes on when the group has acknowledged", async () => {
    const outlet = open(disk("block", 10), 5);
    const settled: number[] = [];
    let published = 0;
    const publishWhileRoom = (): void => {
      while (outlet.hasRoom && published < 40) {
        const n = ++published;
        outlet.publish(event(n), { settle: () => settled.push(n) });
      }
    };
    await until(() => {
      publishWhileRoom();
      return settled.length === 10 && !outlet.hasRoom;
    });
    expect(published).toBe(15);
    const peer = connect(outlet);
    await until(() => {
      publishWhileRoom();
      if (peer.got.length > peer.acked) {
        peer.acked = peer.got.length;
        peer.member?.ack(peer.acked);
      }
      return peer.got.length === 40;
    });
    expect(new Set(peer.ids()).size).toBe(40);
    await outlet.close();
  });

  it.each([
    ["drop_newest", ["n-1", "n-2", "n-3"]],
    ["drop_oldest", ["n-4", "n-5", "n-6"]],
  ] as const)("counts what it drops when it is full: %s", async (whenFull, kept) => {
    const outlet = open(disk(whenFull, 3));
    const settled: number[] = [];
    for (let n = 1; n <= 6; n++) {
      outlet.publish(event(n), { settle: () => settled.push(n) });
      await until(() => settled.includes(n));
    }
    const peer = connect(outlet);
    await until(() => peer.got.length >= 3);
    const dropped = outlet.counters().dropped;
    expect(dropped + peer.got.length).toBe(6);
    expect(peer.ids()).toEqual(kept);
    await outlet.close();
  });

  /** Acknowledges what it gets at once. */
  class Quick extends Peer {
    override send(batch: OutgoingBatch): boolean {
      const hasRoom = super.send(batch);
      setImmediate(() => this.member?.ack(this.got.length));
      return hasRoom;
    }
  }

  it.each(["block", "drop_newest", "drop_oldest"] as const)(
    "counts only what is not acknowledged, though an instance is stuck on something older: %s",
    async (whenFull) => {
      const definition = { ...disk(whenFull, 100), desiredInstances: 2 };
      const outlet = open(definition);
      const stuck = new Peer();
      stuck.creditSequence = 1;
      stuck.member = outlet.attach("slow", "slow-1", stuck, { maxSequence: 1, maxBytes: 1e9 });
      outlet.publish(event(1), { settle: () => undefined });
      await until(() => stuck.got.length === 1);
      const quick = new Quick();
      quick.creditSequence = 1e6;
      quick.member = outlet.attach("slow", "slow-2", quick, { maxSequence: 1e6, maxBytes: 1e9 });
      for (let n = 2; n <= 2000; n++) {
        await until(() => outlet.hasRoom && outlet.counters().waiting.slow! < 90);
        outlet.publish(event(n), { settle: () => undefined });
      }
      await until(() => quick.got.length === 1999 && outlet.counters().waiting.slow === 0);
      expect(outlet.counters()).toMatchObject({ dropped: 0, blocked: false });
      stuck.member?.ack(1);
      await outlet.drained();
      expect(failures).toEqual([]);
      await outlet.close();
    },
  );

  it.each(["drop_newest", "drop_oldest"] as const)(
    "takes a disk that hangs for a buffer that is full, and keeps no more in memory: %s",
    async (whenFull) => {
      const outlet = open(disk(whenFull, 1_000_000));
      const settled: number[] = [];
      outlet.publish(event(0), { settle: () => settled.push(0) });
      // What is there is on the disk: the next write is the one that hangs.
      const peer = new Quick();
      peer.creditSequence = 1e6;
      peer.member = outlet.attach("slow", "slow-1", peer, { maxSequence: 1e6, maxBytes: 1e9 });
      await until(() => peer.got.length === 1);
      const disks = Object.getPrototypeOf(await openFile(folder).then(closed)) as FileHandle;
      const { writev } = disks;
      let goOn: () => void = () => undefined;
      const hung = new Promise<void>((resolve) => {
        goOn = resolve;
      });
      disks.writev = async function (this: FileHandle, ...args: Parameters<typeof writev>) {
        await hung;
        return await writev.apply(this, args);
      } as typeof writev;
      try {
        const view = event(1);
        for (let n = 1; n <= 100_000; n++) {
          outlet.publish(view, { settle: () => undefined });
          if (n % 1_000 === 0) await new Promise((resolve) => setImmediate(resolve));
        }
        // What is being written, and what waits to be.
        expect(100_000 - outlet.counters().dropped).toBeLessThanOrEqual(3 * 16_384);
        expect(outlet.counters().dropped).toBeGreaterThan(0);
      } finally {
        disks.writev = writev;
        goOn();
      }
      const kept = 100_000 - outlet.counters().dropped;
      await until(() => peer.got.length === 1 + kept);
      await outlet.close();
    },
  );

  it("goes on when the newest file was damaged, and somebody has given it up", async () => {
    const outlet = open(disk("block"));
    const settled: number[] = [];
    const view = largeEvent(1024 * 1024);
    for (let n = 1; n <= 20; n++) outlet.publish(view, { settle: () => settled.push(n) });
    await until(() => settled.length === 20);
    await outlet.close();
    const files = (await readdir(folder, { recursive: true })).filter((name) => name.endsWith(".segment")).sort();
    expect(files.length).toBe(2);
    const last = join(folder, files[1]!);
    await rename(last, last.replace(/segment$/, "damaged"));
    const successor = open(disk("block"));
    const peer = new Quick();
    peer.creditSequence = 1e6;
    peer.member = successor.attach("slow", "slow-1", peer, { maxSequence: 1e6, maxBytes: 1e9 });
    await successor.drained();
    expect(peer.got.length).toBeGreaterThan(10);
    expect(peer.got.length).toBeLessThan(20);
    expect(failures).toEqual([]);
    await successor.close();
  });
});

async function closed(file: FileHandle): Promise<FileHandle> {
  await file.close();
  return file;
}
