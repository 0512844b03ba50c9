import { describe, expect, it } from "vitest";
import { FlowctlError } from "../foundation/errors.ts";
import { StateWriter } from "./state-writer.ts";
import { createMemoryStore } from "./store/memory-store.ts";
import type { Store, StoreChange } from "./store/store.ts";

/** A store whose writes finish when the test says so. */
function slowStore() {
  const memory = createMemoryStore();
  const writes: { readonly changes: readonly StoreChange[]; readonly durable: boolean; finish(error?: Error): void }[] =
    [];
  const store: Store = {
    ...memory,
    write: (changes, { durable }) =>
      new Promise((resolve, reject) => {
        const finish = (error?: Error): void => {
          if (error !== undefined) reject(error);
          else memory.write(changes, { durable }).then(resolve, reject);
        };
        writes.push({ changes, durable, finish });
      }),
  };
  return { store, writes };
}

const bytes = (text: string) => () => Buffer.from(text);
const turn = () => new Promise((resolve) => setImmediate(resolve));

describe("the state writer", () => {
  it("writes what changes together in one batch, of each key only the last value", async () => {
    const { store, writes } = slowStore();
    const writer = new StateWriter(store, () => undefined);
    writer.put("a", bytes("1"));
    writer.put("b", bytes("2"));
    writer.put("a", bytes("3"));
    writer.delete("b");
    await turn();
    expect(writes).toHaveLength(1);
    expect(writes[0]?.durable).toBe(false);
    expect(writes[0]?.changes).toEqual([
      { type: "put", key: "a", value: Buffer.from("3") },
      { type: "del", key: "b" },
    ]);
    writes[0]?.finish();
    await writer.flush();
  });

  it("answers for durability only when the batch with the change is written, and flushes once for many", async () => {
    const { store, writes } = slowStore();
    const writer = new StateWriter(store, () => undefined);
    writer.put("a", bytes("1"));
    await turn();
    let answered = 0;
    for (let waiter = 0; waiter < 10; waiter++) {
      writer.put(`checkpoint/${waiter}`, bytes("x"));
      void writer.durable().then(() => {
        answered += 1;
      });
    }
    writes[0]?.finish();
    await turn();
    expect([writes.length, writes[1]?.durable, writes[1]?.changes.length, answered]).toEqual([2, true, 10, 0]);
    writes[1]?.finish();
    await turn();
    expect(answered).toBe(10);
  });

  it("waits for the disk also where nothing has changed since something was written that is not on it", async () => {
    const { store, writes } = slowStore();
    const writer = new StateWriter(store, () => undefined);
    writer.put("a", bytes("1"));
    await turn();
    writes[0]?.finish();
    await writer.flush();
    const durable = writer.durable();
    await turn();
    // A store that is given nothing to write writes nothing, and waits for no disk.
    expect(writes[1]).toMatchObject({ durable: true, changes: [{ type: "put", key: "a", value: Buffer.from("1") }] });
    writes[1]?.finish();
    await durable;
    const again = writer.durable();
    await turn();
    expect(writes[2]?.changes).toEqual([]);
    writes[2]?.finish();
    await again;
  });

  it("tells a failing store once, and never says again that anything is durable", async () => {
    const { store, writes } = slowStore();
    const failures: string[] = [];
    const writer = new StateWriter(store, (error) => failures.push(error.code));
    writer.put("a", bytes("1"));
    const first = writer.durable();
    await turn();
    writes[0]?.finish(new FlowctlError({ code: "store/full", kind: "unavailable", message: "no room" }));
    await expect(first).rejects.toMatchObject({ code: "store/full" });
    writer.put("b", bytes("2"));
    await expect(writer.durable()).rejects.toMatchObject({ code: "store/full" });
    expect(failures).toEqual(["store/full"]);
    expect(writes).toHaveLength(1);
  });
});
