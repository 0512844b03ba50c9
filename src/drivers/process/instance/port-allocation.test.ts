import { createServer } from "node:net";
import { expect, test } from "vitest";
import { isPortFree, PortReservations } from "./port-allocation.ts";

test("an allocated port is free, not among the avoided, and below those of outgoing connections", async () => {
  const ports = new PortReservations();
  const avoid = new Set<number>();
  for (let i = 0; i < 50; i++) {
    const port = await ports.allocate(avoid);
    expect(avoid.has(port)).toBe(false);
    expect(port).toBeLessThan(32_768);
    expect(await isPortFree(port)).toBe(true);
    avoid.add(port);
  }
  await ports.releaseAll();
});

test("a port that somebody listens on is not free, and cannot be reserved", async () => {
  const ports = new PortReservations();
  const port = await ports.allocate(new Set());
  await ports.release(port);
  const server = createServer();
  await new Promise<void>((resolve) => server.listen(port, "127.0.0.1", resolve));
  expect(await isPortFree(port)).toBe(false);
  expect(await ports.reserve(port)).toBe(false);
  await new Promise((resolve) => server.close(resolve));
  expect(await isPortFree(port)).toBe(true);
  expect(await ports.reserve(port)).toBe(true);
  await ports.releaseAll();
});

test("of many that choose at once no two get the same port, though nobody listens on any yet", async () => {
  // Half of a range so small that blind choices clash for sure.
  const range = { first: 19_000, count: 64 };
  const all = Array.from({ length: 8 }, () => new PortReservations(range));
  const chosen = await Promise.all(
    all.map(async (ports) => {
      const own: number[] = [];
      for (let i = 0; i < 4; i++) own.push(await ports.allocate(new Set()));
      return own;
    }),
  );
  expect(new Set(chosen.flat()).size).toBe(32);
  await Promise.all(all.map((ports) => ports.releaseAll()));
});

test("a port that was given back can be reserved by another", async () => {
  const [one, other] = [new PortReservations(), new PortReservations()];
  const port = await one.allocate(new Set());
  expect(await other.reserve(port)).toBe(false);
  expect(await one.reserve(port)).toBe(true);
  await one.release(port);
  expect(await other.reserve(port)).toBe(true);
  await other.releaseAll();
});
