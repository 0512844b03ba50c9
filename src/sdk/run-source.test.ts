import { describe, expect, it } from "vitest";
import type { RegistryClient } from "../client/client.ts";
import { systemClock } from "../foundation/clock.ts";
import { silentLogger } from "../foundation/logger.ts";
import type { Assignment } from "../protocol/records.ts";
import type { CheckpointSave } from "../protocol/registry-codec.ts";
import { SlabPool } from "../protocol/slab-pool.ts";
import { Publisher } from "../streams/sending/publisher.ts";
import { AssignmentFeed } from "./assignment-feed.ts";
import type { SourceDefinition } from "./component.ts";
import { OutputEncoder } from "./output.ts";
import { runSource } from "./run-source.ts";
import type { Runtime } from "./runtime.ts";

const until = async (condition: () => boolean): Promise<void> => {
  while (!condition()) await new Promise((resolve) => setImmediate(resolve));
};

describe("a source", () => {
  it("reads a partition that is assigned to it again before it has heard that it gave it back", async () => {
    const stop = new AbortController();
    const never = new AbortController().signal;
    const saves: CheckpointSave[] = [];
    let answer: () => void = () => undefined;
    const registry: Pick<RegistryClient, "saveCheckpoint"> = {
      saveCheckpoint: async (save) => {
        saves.push(save);
        // The answer to the first release is a long time on its way.
        if (save.state === "released") await new Promise<void>((resolve) => (answer = resolve));
      },
    };
    const opened: (number | undefined)[] = [];
    const open = new Set<object>();
    const definition: SourceDefinition<unknown, number> = {
      name: "numbers",
      version: "1",
      config: {} as never,
      open: ({ position, signal }) => {
        const own = {};
        expect(open.size).toBe(0);
        open.add(own);
        opened.push(position);
        return {
          run: async () => {
            await new Promise((resolve) => signal.addEventListener("abort", resolve, { once: true }));
          },
          close: async () => {
            await new Promise((resolve) => setImmediate(resolve));
            open.delete(own);
          },
        };
      },
    };
    const publisher = new Publisher();
    publisher.setGroups([]);
    const runtime = {
      clock: systemClock,
      log: silentLogger,
      registry,
      publisher,
      encoder: new OutputEncoder("s", new SlabPool()),
      stopping: stop.signal,
      halted: stop.signal,
      deadline: never,
      started: () => undefined,
      fail: (error: unknown) => {
        throw error;
      },
      context: { config: {}, instance: { componentId: "s" } },
    } as unknown as Runtime;
    const feed = new AssignmentFeed();
    const over = runSource(definition as SourceDefinition<unknown, unknown>, runtime, feed);
    const tell = (...assignments: Assignment[]): void => feed.tell({ assignments, partitionsFinished: false });
    const assigned = (epoch: number, revoked: boolean, position?: number): Assignment => ({
      ...{ partition: "", identity: "", epoch, revoked },
      ...(position === undefined ? {} : { position: Buffer.from(String(position)) }),
    });
    tell(assigned(1, false));
    await until(() => opened.length === 1);
    tell(assigned(1, true));
    await until(() => saves.some(({ state }) => state === "released"));
    tell(assigned(2, false, 7));
    answer();
    await until(() => opened.length === 2);
    expect(opened).toEqual([undefined, 7]);
    expect(feed.held()).toMatchObject([{ epoch: 2 }]);
    stop.abort();
    expect(await over).toBe("stopped");
  });
});
