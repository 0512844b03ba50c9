import { join } from "node:path";
import fc from "fast-check";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { anEvent, runSink } from "../../src/components/component-harness.fake.ts";
import { createPostgresSink } from "../../src/components/sinks/postgres.ts";
import { systemClock } from "../../src/foundation/clock.ts";
import { type Event, FlowctlError } from "../../src/sdk/index.ts";
import { makeCertificates } from "../bench/streams/certificates.ts";
import { Postgres } from "../chaos/postgres.ts";
import { poll } from "../chaos/rig.ts";

/** FLOWCTL_TEST_SKIP=postgres leaves out what needs one. */
const skipped = (process.env.FLOWCTL_TEST_SKIP ?? "").split(",").includes("postgres");

let database: Postgres;
beforeAll(async () => {
  if (!skipped) database = await Postgres.create();
});
afterAll(async () => await database?.[Symbol.asyncDispose]());

const sink = createPostgresSink(systemClock);
let tables = 0;

/** The settings of a sink of its own table, which is made by these statements. */
async function into(columns: string, settings: Record<string, unknown>): Promise<Record<string, unknown>> {
  const table = `t${++tables}`;
  if (columns !== "") await database.query(`create table ${table} (${columns})`);
  return { url: `postgres://flow@127.0.0.1:${database.port}/postgres`, table, ...settings };
}

function write(config: Record<string, unknown>, ...batches: readonly (readonly Event[])[]): Promise<void> {
  return runSink(sink, { config, instance: { componentId: String(config.table) } }, batches);
}

function rows({ table }: Record<string, unknown>, what = "*", order = "1"): Promise<string[]> {
  return database.query(`select ${what} from ${table} order by ${order}`);
}

function numbered(...numbers: readonly number[]): Event[] {
  return numbers.map((n) => anEvent({ id: `e${n}`, json: { n, text: `n${n}` } }));
}

const NUMBER = { columns: { n: "payload.n" } };

describe.skipIf(skipped).each(["insert", "copy"])("the sink postgres by %s", (mode) => {
  it("writes an event once, however often it comes, within a batch, over batches and over starts", async () => {
    const config = await into("n int", { ...NUMBER, mode });
    await write(config, numbered(1, 2, 2), numbered(2, 3));
    await write(config, numbered(3, 4));
    expect(await rows(config)).toEqual(["1", "2", "3", "4"]);
  });

  it("writes it as often as it comes with once: false, and keeps no ids", async () => {
    const config = await into("n int", { ...NUMBER, mode, once: false });
    await write(config, numbered(1, 1), numbered(1));
    expect(await rows(config)).toEqual(["1", "1", "1"]);
    expect(await database.query(`select count(*) from flowctl_written where sink like '%/${config.table}'`)).toEqual([
      "0",
    ]);
  });

  it("writes any JSON into any column as it is", async () => {
    const config = await into("id text, t text, j jsonb, a text[]", {
      ...{ mode, columns: { id: "id", t: "payload.t", j: "payload.j", a: "payload.a" } },
    });
    const text = fc.string({ unit: "binary" }).filter((one) => !one.includes("\0") && !/[\ud800-\udfff]/u.test(one));
    const json = fc
      .jsonValue()
      .filter((one) => !JSON.stringify(one).includes("\\u0000") && !/\\ud[89a-f]/i.test(JSON.stringify(one)));
    let batch = 0;
    await fc.assert(
      fc.asyncProperty(
        fc.array(fc.record({ t: text, j: json, a: fc.array(fc.option(text)) }), { minLength: 1, maxLength: 20 }),
        async (payloads) => {
          batch++;
          const events = payloads.map((payload, i) =>
            anEvent({ id: `${batch}-${String(i).padStart(3, "0")}`, json: payload }),
          );
          await write(config, events);
          const [found] = await database.query(
            `select json_agg(json_build_object('t', t, 'j', j, 'a', a) order by id) from ${config.table} where id like '${batch}-%'`,
          );
          const wanted = payloads.map(({ t, j, a }) => ({ t, j, a }));
          expect(JSON.parse(found!)).toEqual(JSON.parse(JSON.stringify(wanted).replaceAll("-0,", "0,")));
        },
      ),
      { numRuns: 40 },
    );
  });

  it("blames a value that does not fit, names the column's type, and writes nothing of its batch", async () => {
    const config = await into("n int, t varchar(2)", { mode, columns: { n: "payload.n", t: "payload.text" } });
    const failure = write(config, [...numbered(1, 2), anEvent({ id: "long", json: { n: 3, text: "too long" } })]);
    await expect(failure).rejects.toMatchObject({ code: "components/postgres-bad-value", kind: "invalid" });
    await expect(failure).rejects.toThrow(/value too long for type character varying\(2\)/);
    expect(await rows(config)).toEqual([]);
    await write(config, numbered(1, 2));
    expect(await rows(config, "n")).toEqual(["1", "2"]);
  });
});

describe.skipIf(skipped)("the sink postgres", () => {
  it("writes on over the connection that refused a value", async () => {
    const config = await into("n int", NUMBER);
    if (sink.type !== "sink") throw new Error("no sink");
    const handlers = await opened(config);
    const pid = () =>
      database.query(`select pid from pg_stat_activity where application_name like '%${config.table}-1'`);
    const before = await pid();
    await expect(handlers.write([anEvent({ id: "x", json: { n: "x" } })])).rejects.toMatchObject({ kind: "invalid" });
    await handlers.write(numbered(1));
    expect(await pid()).toEqual(before);
    await handlers.close?.();
    expect(await rows(config)).toEqual(["1"]);
  });

  it("replaces and removes rows by key, of which the last of a batch counts, and an old event that comes again changes nothing", async () => {
    const config = await into("k int primary key, v text", {
      ...{
        mode: "upsert",
        key: ["k"],
        columns: { k: "payload.k", v: "payload.v" },
        delete_when: "default(payload.gone, false)",
      },
    });
    const put = (id: string, k: number, v: string, gone = false) => anEvent({ id, json: { k, v, gone } });
    await write(config, [
      put("1", 1, "a"),
      put("2", 2, "b"),
      put("3", 1, "c"),
      put("4", 2, "", true),
      put("5", 3, "d"),
    ]);
    expect(await rows(config)).toEqual(["1|c", "3|d"]);
    await write(config, [put("1", 1, "a"), put("6", 3, "e")], [put("7", 3, "", true), put("8", 2, "f")]);
    expect(await rows(config)).toEqual(["1|c", "2|f"]);
  });

  it("removes rows by key", async () => {
    const config = await into("k int, v text", { mode: "delete", key: ["k"], columns: { k: "payload.n" } });
    await database.query(`insert into ${config.table} values (1, 'a'), (2, 'b'), (2, 'c'), (3, 'd')`);
    await write(config, numbered(2, 9));
    expect(await rows(config)).toEqual(["1|a", "3|d"]);
  });

  it("creates the table, and the columns that it lacks later, for two instances that begin at once", async () => {
    const config = await into("", { create: true, key: ["id"], mode: "upsert" });
    await Promise.all([write(config, numbered(1)), write(config, numbered(2))]);
    expect(await rows(config, "id, payload->>'n', timestamp is null")).toEqual(["e1|1|t", "e2|2|t"]);
    const columns = { id: "id", n: { value: "payload.n", type: "int not null default 0" } };
    await write({ ...config, columns }, numbered(3));
    expect(await rows(config, "id, n")).toEqual(["e1|0", "e2|0", "e3|3"]);
  });

  it("says which table or column is missing, and writes once it is there, while it runs", async () => {
    const config = await into("", NUMBER);
    await expect(write(config, numbered(1))).rejects.toMatchObject({
      code: "components/postgres-no-table",
      kind: "unavailable",
    });
    await database.query(`create table ${config.table} (m int)`);
    await expect(write(config, numbered(1))).rejects.toThrow(/has no column n/);
    await database.query(`alter table ${config.table} add n int`);
    const handlers = await opened(config);
    await handlers.write(numbered(1));
    await database.query(`alter table ${config.table} alter n type text, drop m`);
    await handlers.write(numbered(2)).catch(() => undefined);
    await handlers.write(numbered(2));
    await database.query(`alter table ${config.table} drop n`);
    await expect(handlers.write(numbered(3))).rejects.toMatchObject({
      code: "components/postgres-refused",
      kind: "unavailable",
    });
    await database.query(`alter table ${config.table} add n int`);
    await handlers.write(numbered(3));
    await handlers.close?.();
    expect(await rows(config, "n", "n")).toEqual(["3"]);
  });

  it("writes nothing twice where the answer to a batch was lost, and goes on after the database was restarted", async () => {
    const config = await into("n int", NUMBER);
    const handlers = await opened(config);
    await handlers.write(numbered(1));
    await database.stop("immediate");
    await expect(handlers.write(numbered(1, 2))).rejects.toMatchObject({
      code: "components/postgres-away",
      kind: "unavailable",
    });
    await database.start();
    await handlers.write(numbered(1, 2));
    await handlers.close?.();
    expect(await rows(config)).toEqual(["1", "2"]);
  });

  it.each(["insert", "upsert", "delete"])("writes columns of any name by %s", async (mode) => {
    const names = ["id", "event_id", "place", "gone", "given", "sink", "v0", 'with "quotes"', "Order By"];
    const shown = names.map((name) => `"${name.replaceAll('"', '""')}" text`).join(", ");
    const config = await into(`${shown}, primary key (event_id)`, {
      ...{ mode, columns: Object.fromEntries(names.map((name, i) => [name, `payload.text + "${i}"`])) },
      ...(mode === "insert" ? {} : { key: ["event_id"] }),
    });
    if (mode === "delete") await database.query(`insert into ${config.table} (event_id) values ('n11'), ('n21')`);
    await write(config, numbered(1, 2, 1));
    expect(await rows(config)).toEqual(
      mode === "delete" ? [] : ["n1", "n2"].map((text) => names.map((_, i) => `${text}${i}`).join("|")),
    );
  });

  it("encrypts the connection, and writes to no server that cannot prove its name", async () => {
    const made = await makeCertificates();
    await using secured = await Postgres.create({
      settings: ["ssl=on", `ssl_cert_file=server.pem`, `ssl_key_file=server-key.pem`],
      files: { "server.pem": join(made.folder, "certificate.pem"), "server-key.pem": join(made.folder, "key.pem") },
    });
    try {
      await secured.query("create table t (n int)");
      const config = { url: `postgres://flow@127.0.0.1:${secured.port}/postgres`, table: "t", ...NUMBER };
      const encrypted = () =>
        secured.query(
          "select ssl from pg_stat_ssl join pg_stat_activity using (pid) where application_name like 'flowctl%'",
        );
      for (const [tls, shown] of [
        [{ ca: join(made.folder, "ca.pem") }, ["t"]],
        [{ tls: "unverified" }, ["t"]],
        [{}, ["f"]],
      ] as const) {
        const handlers = await opened({ ...config, ...tls });
        expect(await encrypted()).toEqual(shown);
        await handlers.close?.();
        await poll(async () => (await encrypted()).length === 0);
      }
      await expect(write({ ...config, tls: "verify" }, numbered(1))).rejects.toMatchObject({
        code: "components/postgres-away",
        kind: "unavailable",
      });
      const elsewhere = { ...config, url: config.url.replace("127.0.0.1", "localhost") };
      await expect(write({ ...elsewhere, ca: join(made.folder, "ca.pem") }, numbered(1))).rejects.toThrow(/localhost/);
    } finally {
      await made.dispose();
    }
  });

  it("says whom it cannot reach, and never the password", async () => {
    const config = { url_secret: "db", table: "t" };
    const secrets = { db: "postgres://me:hunter2@127.0.0.1:1/shop" };
    const failure = runSink(sink, { config, secrets }, []).catch((error: unknown) => error);
    const error = (await failure) as FlowctlError;
    expect(error).toBeInstanceOf(FlowctlError);
    expect(error).toMatchObject({ code: "components/postgres-away", kind: "unavailable" });
    expect(error.message).toContain("PostgreSQL database shop at 127.0.0.1:1 as me");
    expect(error.message).not.toContain("hunter2");
  });
});

async function opened(config: Record<string, unknown>) {
  let given: { write(events: readonly Event[]): Promise<void>; close?(): Promise<void> } | undefined;
  const keep = { ...sink, definition: { ...sink.definition } } as typeof sink;
  if (keep.type !== "sink" || sink.type !== "sink") throw new Error("no sink");
  const { open } = sink.definition;
  Object.assign(keep.definition, {
    open: async (context: Parameters<typeof open>[0]) => {
      given = await open(context);
      return { write: async () => undefined };
    },
  });
  await runSink(keep, { config, instance: { componentId: String(config.table) } }, []);
  if (given === undefined) throw new Error("not opened");
  return given;
}
