import { createServer } from "node:net";
import { expect, test } from "vitest";
import { allocatePort, isPortFree } from "./port-allocation.ts";

test("an allocated port is free, not among the taken, and below those of outgoing connections", async () => {
  const taken = new Set<number>();
  for (let i = 0; i < 50; i++) {
    const port = await allocatePort(taken);
    expect(taken.has(port)).toBe(false);
    expect(port).toBeLessThan(32_768);
    expect(await isPortFree(port)).toBe(true);
    taken.add(port);
  }
});

test("a port that somebody listens on is not free", async () => {
  const port = await allocatePort(new Set());
  const server = createServer();
  await new Promise<void>((resolve) => server.listen(port, "127.0.0.1", resolve));
  expect(await isPortFree(port)).toBe(false);
  await new Promise((resolve) => server.close(resolve));
  expect(await isPortFree(port)).toBe(true);
});
