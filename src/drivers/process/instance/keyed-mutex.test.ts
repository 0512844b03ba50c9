import { expect, test } from "vitest";
import { createKeyedMutex } from "./keyed-mutex.ts";

test("work on one key is done one after the other, work on another at once, and a failure stops nobody", async () => {
  const mutex = createKeyedMutex();
  const order: string[] = [];
  let free: () => void = () => undefined;
  const blocked = new Promise<void>((resolve) => {
    free = resolve;
  });
  const first = mutex("a", async () => {
    await blocked;
    order.push("a1");
    throw new Error("a1 fails");
  });
  const second = mutex("a", async () => void order.push("a2"));
  await mutex("b", async () => void order.push("b1"));
  free();
  await expect(first).rejects.toThrow("a1 fails");
  await second;
  expect(order).toEqual(["b1", "a1", "a2"]);
});
