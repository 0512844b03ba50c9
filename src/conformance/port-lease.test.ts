import { execFile } from "node:child_process";
import { once } from "node:events";
import { createServer } from "node:net";
import { fileURLToPath } from "node:url";
import { promisify } from "node:util";
import { afterEach, describe, expect, it } from "vitest";
import { PortLease } from "./port-lease.ts";

const leases: PortLease[] = [];
afterEach(() => {
  for (const lease of leases.splice(0)) lease.release();
});

describe("a leased port", () => {
  it("is nobody else's until it is released, in this process", async () => {
    leases.push(...(await Promise.all(Array.from({ length: 200 }, () => PortLease.take()))));
    // Of those that are taken at once, looking whether somebody listens alone would keep some apart.
    for (let n = 0; n < 200; n++) leases.push(await PortLease.take());
    expect(new Set(leases.map(({ port }) => port)).size).toBe(400);
  });

  it("is no other process's either, although nobody listens on it yet", async () => {
    leases.push(...(await Promise.all(Array.from({ length: 400 }, () => PortLease.take()))));
    const module = fileURLToPath(new URL("port-lease.ts", import.meta.url));
    const script = `
      const { PortLease } = await import(${JSON.stringify(module)});
      const taken = await Promise.all(Array.from({ length: 300 }, () => PortLease.take()));
      console.log(JSON.stringify(taken.map(({ port }) => port)));
      for (const lease of taken) lease.release();
    `;
    const argv = ["--import", "tsx", "--input-type=module", "-e", script];
    const { stdout } = await promisify(execFile)(process.execPath, argv);
    const theirs = new Set<number>(JSON.parse(stdout));
    expect(theirs.size).toBe(300);
    expect(leases.filter(({ port }) => theirs.has(port))).toEqual([]);
  });

  it("can be listened on by a program at once", async () => {
    const lease = await PortLease.take();
    leases.push(lease);
    const server = createServer().listen(lease.port, "127.0.0.1");
    await once(server, "listening");
    server.close();
  });
});
