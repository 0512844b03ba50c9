import { expect, test } from "vitest";
import { createBroadcast } from "./broadcast.ts";

async function take<T>(values: AsyncIterable<T>): Promise<readonly T[]> {
  const taken: T[] = [];
  for await (const value of values) taken.push(value);
  return taken;
}

test("every listener gets each value from its call on, in order, until its signal fires", async () => {
  const broadcast = createBroadcast<number>();
  const stop = new AbortController();
  broadcast.emit(0);
  const first = take(broadcast.listen(stop.signal));
  broadcast.emit(1);
  const second = take(broadcast.listen(stop.signal));
  broadcast.emit(2);
  broadcast.emit(3);
  stop.abort();
  broadcast.emit(4);
  expect(await first).toEqual([1, 2, 3]);
  expect(await second).toEqual([2, 3]);
});

test("a listener that does not take holds up nobody, and gets what it missed when it does", async () => {
  const broadcast = createBroadcast<number>();
  const stop = new AbortController();
  const values = broadcast.listen(stop.signal)[Symbol.asyncIterator]();
  for (let n = 0; n < 1_000; n++) broadcast.emit(n);
  for (let n = 0; n < 1_000; n++) expect((await values.next()).value).toBe(n);
  stop.abort();
  expect((await values.next()).done).toBe(true);
});

test("who comes late can have what is remembered", async () => {
  const broadcast = createBroadcast<number>(3);
  for (let n = 0; n < 10; n++) broadcast.emit(n);
  const stop = new AbortController();
  const late = take(broadcast.listen(stop.signal, (n) => n >= 8));
  broadcast.emit(10);
  stop.abort();
  expect(await late).toEqual([8, 9, 10]);
});
