import { once } from "node:events";
import { createServer } from "node:http";
import type { AddressInfo } from "node:net";
import { json } from "node:stream/consumers";
import { beforeAll, describe, expect, it } from "vitest";
import { buildProgram } from "../e2e/checks.ts";
import { Postgres } from "./postgres.ts";
import { type Part, poll, Rig } from "./rig.ts";

/** FLOWCTL_TEST_SKIP=postgres leaves out what needs one. */
const skipped = new Set((process.env.FLOWCTL_TEST_SKIP ?? "").split(","));

beforeAll(buildProgram);

/** Long enough for an outage to come in the middle. */
const count = 4_000;
/** One in a hundred is refused for what it holds. */
const isBad = (n: number): boolean => n % 100 === 13;
const good = Array.from({ length: count }, (_, index) => index + 1).filter((n) => !isBad(n));

/** Numbered events, a thousand a second, into a sink that drops what it cannot process. */
async function startDropping(name: string, sink: Pick<Part, "run" | "config">): Promise<Rig> {
  return await Rig.start(name, () => [
    {
      spec: { id: "numbers", type: "source" },
      run: "generator",
      config: { count, rate: 1_000, template: { n: "sequence" } },
    },
    {
      spec: {
        id: "sink",
        type: "sink",
        inputs: [{ from: "numbers", types: [] }],
        onError: { action: "drop", to: "", retries: 0, backoffMs: 0 },
      },
      ...sink,
    },
  ]);
}

/** `outage` comes over the running pipeline; then everything is to end well. The folder stays when anything fails. */
async function survive(rig: Rig, outage: (over: () => boolean) => Promise<void>): Promise<void> {
  let passed = false;
  try {
    await outage(() => rig.finished);
    await poll(() => rig.finished);
    expect(rig.crashes.length).toBeGreaterThan(0);
    expect(rig.crashes.every((crash) => crash === "sink-1 exited 1")).toBe(true);
    passed = true;
  } finally {
    await rig.close({ keep: !passed });
  }
}

/** An outage is no event's fault: `on_error: drop` drops what is refused for its content, and nothing else. */
describe.skipIf(skipped.has("postgres"))("a sink with on_error: drop whose database stops under a write", () => {
  it.each([
    { how: "fast", batch: 1_000 },
    { how: "immediate", batch: 1 },
  ] as const)(
    "ends with an error, and has every good event when the database is back ($how)",
    async ({ how, batch }) => {
      await using postgres = await Postgres.create();
      await postgres.query("create table numbers (n int primary key check (n % 100 <> 13))");
      const sink = [`${import.meta.dirname}/fixtures/postgres-sink.mjs`, String(batch)];
      const rig = await startDropping("postgres-outage", { run: sink, config: { port: postgres.port } });
      await survive(rig, async (over) => {
        await poll(async () => over() || (await postgres.query("select n from numbers limit 100")).length === 100);
        await postgres.block("numbers", over);
        await postgres.stop(how);
        await poll(() => over() || rig.crashes.length >= 2);
        await postgres.start();
      });
      expect((await postgres.query("select n from numbers order by n")).map(Number)).toEqual(good);
    },
  );
});

describe("a sink with on_error: drop whose HTTP server goes away under a request", () => {
  it("ends with an error, and the server has every good event when it is back", async () => {
    const got = new Set<number>();
    let serving: "well" | "not-now" | "not-at-all" = "well";
    let waiting = 0;
    const server = createServer(async (request, response) => {
      const { n } = (await json(request)) as { n: number };
      if (serving === "not-at-all") waiting++;
      else if (serving === "not-now") response.writeHead(503).end();
      else if (isBad(n)) response.writeHead(422).end();
      else {
        got.add(n);
        response.writeHead(204).end();
      }
    });
    await once(server.listen(0, "127.0.0.1"), "listening");
    const { port } = server.address() as AddressInfo;
    const rig = await startDropping("http-outage", {
      run: [`${import.meta.dirname}/fixtures/http-sink.mjs`],
      config: { url: `http://127.0.0.1:${port}/` },
    });
    try {
      await survive(rig, async (over) => {
        await poll(() => got.size >= 100);
        serving = "not-now";
        await poll(() => over() || rig.crashes.length >= 1);
        serving = "not-at-all";
        await poll(() => over() || waiting > 0);
        const before = rig.crashes.length;
        const closed = once(server, "close");
        server.close();
        server.closeAllConnections();
        await closed;
        await poll(() => over() || rig.crashes.length >= before + 2);
        serving = "well";
        await once(server.listen(port, "127.0.0.1"), "listening");
      });
    } finally {
      server.close();
      server.closeAllConnections();
    }
    expect([...got].sort((a, b) => a - b)).toEqual(good);
  });
});
