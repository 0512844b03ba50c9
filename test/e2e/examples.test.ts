import { appendFile, cp, mkdir, mkdtemp, readdir, readFile, rename, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { basename, join, resolve } from "node:path";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { Postgres } from "../chaos/postgres.ts";
import { driversUnderTest } from "./drivers-under-test.ts";
import { runProgram, runWell } from "./run-program.ts";

const root = resolve(import.meta.dirname, "../..");
const data = join(root, "node_modules/vega-datasets/data");
const flowctl = [join(root, "dist/flowctl.js")];

interface Summary {
  readonly pipeline: string;
}

let folder = "";
let env: NodeJS.ProcessEnv = {};

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), "flowctl-examples-"));
  env = { ...process.env, FLOWCTL_HOME: join(folder, "home") };
  await cp(join(root, "examples"), join(folder, "examples"), {
    recursive: true,
    filter: (source) => !["out", "data", "node_modules"].includes(basename(source)),
  });
  for (const [example, file] of [
    ["quakes", "earthquakes.json"],
    ["flights", "flights-2k.json"],
  ] as const) {
    await mkdir(join(folder, "examples", example, "data"));
    await cp(join(data, file), join(folder, "examples", example, "data", file));
  }
});

afterAll(async () => {
  await rm(folder, { recursive: true, force: true });
});

function fileOf(example: string): string {
  return join(folder, "examples", example, "pipeline.yaml");
}

async function linesOf(example: string, file: string): Promise<Record<string, unknown>[]> {
  const text = await readFile(join(folder, "examples", example, "out", file), "utf8");
  return text
    .trimEnd()
    .split("\n")
    .map((line) => JSON.parse(line) as Record<string, unknown>);
}

/** Runs an example to its end, under a name of its own; what was written before is gone. Gives what it printed. */
async function run(example: string, driver: string, ...more: readonly string[]): Promise<string> {
  await rm(join(folder, "examples", example, "out"), { recursive: true, force: true });
  const name = `${example}-example-${process.pid}`;
  const args = ["run", fileOf(example), ...more, "--driver", driver, "-p", name];
  try {
    return (await runWell(process.execPath, [...flowctl, ...args], { env, timeoutMs: 160_000 })).stdout;
  } finally {
    await runProgram(process.execPath, [...flowctl, "down", "-v", name, "--driver", driver], { env });
  }
}

describe.each(driversUnderTest())("the examples on %s", (driver) => {
  it("quakes: the strong ones of a week", async () => {
    const printed = await run("quakes", driver);
    const quakes = await linesOf("quakes", "quakes.jsonl");
    expect(quakes).toHaveLength(85);
    expect(quakes[0]).toEqual({ magnitude: 4.7, place: "7km E of Hualian, Taiwan", depth_km: 10, tsunami: false });
    expect(printed.match(/quake\.v1/g)).toHaveLength(85);
  });

  it("flights: each once, on one of two ways", async () => {
    await run("flights", driver);
    const flights = await linesOf("flights", "flights.jsonl");
    const source = JSON.parse(await readFile(join(data, "flights-2k.json"), "utf8")) as Record<string, unknown>[];
    const plain = flights.map(({ status, hours_late, ...flight }) => flight);
    const sorted = (list: readonly unknown[]): string[] => list.map((one) => JSON.stringify(one)).sort();
    expect(sorted(plain)).toEqual(sorted(source));
    for (const { status, delay } of flights) expect(status).toBe(Number(delay) >= 15 ? "late" : "in time");
  });

  it("generator: needs nothing", async () => {
    expect((await run("generator", driver)).match(/reading\.v1/g)?.length).toBeGreaterThan(2);
  });

  it("fan-out: every sink gets every event", async () => {
    const printed = await run("fan-out", driver);
    expect((await linesOf("fan-out", "orders.jsonl")).map(({ order }) => order)).toEqual(
      Array.from({ length: 200 }, (_, n) => n + 1),
    );
    expect(printed.match(/\{"order":/g)).toHaveLength(200);
  });

  it("dead-letter: bad events are set aside, with the reason", async () => {
    await run("dead-letter", driver);
    expect(await linesOf("dead-letter", "readings.jsonl")).toHaveLength(90);
    const rejected = await linesOf("dead-letter", "rejected.jsonl");
    expect(rejected).toHaveLength(10);
    expect(rejected[0]?.metadata).toMatchObject({
      "flowctl.dead_letter.reason": expect.stringContaining("payload.celsius"),
    });
  });

  it("on-error: bad events are dropped in one branch and set aside in the other", async () => {
    await run("on-error", driver);
    expect(await linesOf("on-error", "careless.jsonl")).toHaveLength(90);
    expect(await linesOf("on-error", "careful.jsonl")).toHaveLength(90);
    const rejected = await linesOf("on-error", "rejected.jsonl");
    expect(rejected.map(({ metadata }) => metadata)).toEqual(
      Array.from({ length: 10 }, () => expect.objectContaining({ "flowctl.dead_letter.attempts": "3" })),
    );
  });

  it("partition-by: the orders of each customer keep their order through three instances", async () => {
    await run("partition-by", driver);
    const orders = await linesOf("partition-by", "ledger.jsonl");
    expect(orders).toHaveLength(1000);
    const byCustomer = new Map<unknown, number[]>();
    for (const { customer, order } of orders) {
      byCustomer.set(customer, [...(byCustomer.get(customer) ?? []), Number(order)]);
    }
    expect(byCustomer.size).toBe(7);
    for (const own of byCustomer.values()) expect(own).toEqual([...own].sort((a, b) => a - b));
  });

  it("buffers: sinks that block get everything, and what others miss is counted", async () => {
    const printed = await run("buffers", driver);
    for (const file of ["memory-block.jsonl", "disk-block.jsonl"]) {
      const numbers = (await linesOf("buffers", file)).map(({ sequence }) => sequence);
      expect(numbers).toEqual(Array.from({ length: 4000 }, (_, n) => n + 1));
    }
    const [, dropped = "0"] = /^ticks +source +completed +- +4,000 +- +([\d,]+)/m.exec(printed) ?? [];
    expect(Number(dropped.replaceAll(",", ""))).toBeGreaterThan(0);
    // Nobody is started again who has completed before the others.
    expect(printed).toMatch(/^disk-block +sink +completed +4,000 +- +- +- +- +-$/m);
  });

  it("follow-log: goes through rotation, until it is taken down", async () => {
    const name = `follow-log-example-${process.pid}`;
    const log = join(folder, "examples/follow-log/logs/app.log");
    const messages = async (): Promise<unknown[]> =>
      (await linesOf("follow-log", "errors.jsonl").catch(() => [])).map(({ message }) => message);
    await rm(join(folder, "examples/follow-log/out"), { recursive: true, force: true });
    await cp(join(root, "examples/follow-log/logs/app.log"), log);
    try {
      const args = ["up", "-d", fileOf("follow-log"), "--driver", driver, "-p", name];
      await runWell(process.execPath, [...flowctl, ...args], { env, timeoutMs: 160_000 });
      const first = ["no answer from billing", "out of memory"];
      await expect.poll(messages, { timeout: 60_000 }).toEqual(first);
      await appendFile(log, "2026-05-04T09:00:00Z ERROR disk is full\n");
      await rename(log, `${log}.1`);
      await writeFile(log, "2026-05-04T09:00:01Z INFO fine\n2026-05-04T09:00:02Z ERROR again\n");
      await expect.poll(messages, { timeout: 60_000 }).toEqual([...first, "disk is full", "again"]);
    } finally {
      await runWell(process.execPath, [...flowctl, "down", "-v", name, "--driver", driver], { env });
      await rm(`${log}.1`, { force: true });
    }
  });
});

/** FLOWCTL_TEST_SKIP=postgres leaves out what needs one. */
const withoutPostgres = (process.env.FLOWCTL_TEST_SKIP ?? "").split(",").includes("postgres");

describe.skipIf(withoutPostgres).each(driversUnderTest())("the example of PostgreSQL on %s", (driver) => {
  it("writes every reading, and the latest of each sensor", async () => {
    await using postgres = await Postgres.create({ reachable: driver === "docker" });
    const host = driver === "docker" ? "database" : "127.0.0.1";
    env.DATABASE_URL = `postgres://flow@${host}:${postgres.port}/postgres`;
    const reach = { extra_hosts: ["database:host-gateway"] };
    const override = { sinks: { every_reading: reach, latest_reading: reach } };
    const overrideFile = join(folder, "examples/postgres/reach.yaml");
    await writeFile(overrideFile, JSON.stringify(override));
    await run("postgres", driver, ...(driver === "docker" ? ["-f", overrideFile] : []));
    const readings = await postgres.query("select sensor, reading from readings order by reading");
    expect(readings).toEqual(Array.from({ length: 5000 }, (_, i) => `${(i + 1) % 10}|${i + 1}`));
    const latest = await postgres.query("select sensor, reading from latest_readings order by reading");
    expect(latest).toEqual(Array.from({ length: 10 }, (_, i) => `${(4991 + i) % 10}|${4991 + i}`));
  });
});

describe("the pages of the built-ins", async () => {
  const pages = join(root, "docs/components");
  const finite = (await readdir(pages)).filter(
    (name) => /^(processor|sink)-|generator/.test(name) && name !== "sink-postgres.md",
  );

  it.skipIf(withoutPostgres)("sink-postgres.md shows changes of rows, and how its ids are kept", async () => {
    await using postgres = await Postgres.create();
    const page = await readFile(join(pages, "sink-postgres.md"), "utf8");
    const blocks = [...page.matchAll(/^```(?:yaml|sql)\n(.*?)^```/gms)].map(([, block]) => block ?? "");
    const upserts = blocks.find((block) => block.includes("delete_when")) ?? "";
    const ledger = blocks.find((block) => block.includes("CREATE TABLE")) ?? "";
    const address = `127.0.0.1:${postgres.port}/postgres`;
    await writeFile(join(folder, "page.yaml"), upserts.replace("app@127.0.0.1:5432/shop", `app@${address}`));
    const orders = [
      { id: 1, state: "new", lines: [{ item: "tea" }] },
      { id: 2, state: "new", lines: [] },
      { id: 1, state: "paid", lines: [{ item: "tea" }] },
      { id: 2, deleted: true },
    ];
    await writeFile(join(folder, "orders.jsonl"), orders.map((order) => `${JSON.stringify(order)}\n`).join(""));
    await postgres.query(
      "create table orders (id int primary key, state text, lines jsonb)",
      ledger,
      "create role app login",
      "grant all on orders, flowctl_written to app",
    );
    const args = ["run", join(folder, "page.yaml"), "--driver", "process", "-p", `page-${process.pid}`];
    await runWell(process.execPath, [...flowctl, ...args], { env, timeoutMs: 160_000 });
    expect(await postgres.query("select * from orders")).toEqual([`1|paid|[{"item": "tea"}]`]);
    expect(await postgres.query("select count(*) from flowctl_written")).toEqual(["4"]);
  });

  it.skipIf(withoutPostgres)("source-postgres.md shows a query that is read, and a trigger that tells", async () => {
    await using postgres = await Postgres.create();
    const page = await readFile(join(pages, "source-postgres.md"), "utf8");
    const blocks = [...page.matchAll(/^```(?:yaml|sql)\n(.*?)^```/gms)].map(([, block]) => block ?? "");
    const query = blocks.find((block) => block.includes("query:")) ?? "";
    const trigger = blocks.find((block) => block.includes("CREATE TRIGGER")) ?? "";
    const address = `127.0.0.1:${postgres.port}/postgres`;
    await writeFile(join(folder, "page.yaml"), query.replace("app@127.0.0.1:5432/shop", `app@${address}`));
    await postgres.query(
      "create table customers (customer_id int primary key, customer text)",
      "create table orders (id int primary key, total int, customer_id int)",
      trigger,
      "create role app login",
      "grant select on orders, customers to app",
      "insert into customers values (7, 'Ada')",
      "insert into orders values (1, 50, 7), (2, 500, 7)",
    );
    const args = ["run", join(folder, "page.yaml"), "--driver", "process", "-p", `page-${process.pid}`];
    const { stdout } = await runWell(process.execPath, [...flowctl, ...args], { env, timeoutMs: 160_000 });
    expect(stdout).toContain('{"id":2,"total":500,"customer":"Ada"}');
    expect(stdout).not.toContain('"id":1,');
  });

  it.each(finite)("%s shows a pipeline that runs", async (page) => {
    const block = /^```yaml\n(.*?)^```/ms.exec(await readFile(join(pages, page), "utf8"))?.[1] ?? "";
    const file = join(folder, "page.yaml");
    await writeFile(file, block);
    const name = `page-${process.pid}`;
    const args = ["run", file, "--driver", "process", "-p", name, "--json"];
    const { stdout } = await runWell(process.execPath, [...flowctl, ...args], { env, timeoutMs: 160_000 });
    const summary = JSON.parse(stdout.trim().split("\n").at(-1) ?? "") as Summary;
    expect(JSON.stringify(summary)).toContain('"completed"');
  });
});
