import fc from "fast-check";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { type Emitted, payloadJson, payloadText, runSource } from "../../src/components/component-harness.fake.ts";
import { createPostgresSource } from "../../src/components/sources/postgres.ts";
import { systemClock } from "../../src/foundation/clock.ts";
import { Postgres } from "../chaos/postgres.ts";
import { poll } from "../chaos/rig.ts";

/** FLOWCTL_TEST_SKIP=postgres leaves out what needs one. */
const skipped = (process.env.FLOWCTL_TEST_SKIP ?? "").split(",").includes("postgres");

let database: Postgres;
beforeAll(async () => {
  if (!skipped) database = await Postgres.create({ settings: ["max_prepared_transactions=5"] });
});
afterAll(async () => await database?.[Symbol.asyncDispose]());

const source = createPostgresSource(systemClock);
let tables = 0;

function newTable(): string {
  return `s${++tables}`;
}

function settings(more: Record<string, unknown>): Record<string, unknown> {
  return { url: `postgres://flow@127.0.0.1:${database.port}/postgres`, ...more };
}

async function read(more: Record<string, unknown>, position?: unknown): Promise<Emitted[]> {
  return await runSource(source, { config: settings(more), position });
}

const codeOf = (promise: Promise<unknown>): Promise<unknown> =>
  promise.then(
    () => "no error",
    (error: { code?: string }) => error.code,
  );

describe.skipIf(skipped)("the source postgres, a snapshot", () => {
  it("reads every row once, in the order of the key, whatever the pages", async () => {
    const table = newTable();
    await database.query(`create table ${table} (a int, b text, n int, primary key (a, b))`);
    await database.query(`insert into ${table} select i % 3, 'x' || i, i from generate_series(1, 25) i`);
    const expected = (await database.query(`select n from ${table} order by a, b`)).map(Number);
    for (const batch of [1, 2, 5, 24, 25, 26, 1000]) {
      const rows = await read({ table, batch });
      expect(rows.map(({ event }) => (payloadJson(event) as { n: number }).n)).toEqual(expected);
    }
  });

  it("goes on after any of its rows, with positions that differ", async () => {
    const table = newTable();
    await database.query(
      `create table ${table} (id bigint primary key)`,
      `insert into ${table} select generate_series(1, 7)`,
    );
    const all = await read({ table, batch: 3 });
    expect(new Set(all.map(({ position }) => JSON.stringify(position))).size).toBe(7);
    for (const [index, { position }] of all.entries()) {
      const rest = await read({ table, batch: 3 }, JSON.parse(JSON.stringify(position)));
      expect(rest.map(({ event }) => payloadText(event))).toEqual(
        all.slice(index + 1).map(({ event }) => payloadText(event)),
      );
    }
  });

  it("says what an event is", async () => {
    const table = newTable();
    await database.query(`create table ${table} (id int primary key)`, `insert into ${table} values (1)`);
    const [{ event, position }] = (await read({ table, type: "order" })) as [Emitted];
    expect(event).toEqual({
      type: "order",
      payload: '{"id":1}',
      contentType: "application/json",
      metadata: { operation: "read", table },
    });
    expect(position).toEqual({ after: { id: "1" } });
    const query = `select id from ${table}`;
    const [{ event: ofQuery }] = (await read({ query, key: ["id"] })) as [Emitted];
    expect(ofQuery.metadata).toEqual({ operation: "read" });
  });

  it("gives every type as JSON, with all digits", async () => {
    const table = newTable();
    await database.query(
      "create type mood as enum ('happy', 'sad')",
      "create domain short as varchar(5)",
      `create table ${table} (id int primary key, b bool, big bigint, num numeric, nan numeric, f float8, inf float8, j json, jb jsonb,
        t timestamp, tz timestamptz, never timestamptz, d date, u uuid, by bytea, ai int[], at text[], aa int[][], aj jsonb[], atz timestamptz[],
        m mood, am mood[], s short, ash short[], r int4range, "we""ird name" text, nothing int)`,
      `insert into ${table} values (1, true, 9007199254740993, 1.50, 'NaN', 0.1, '-infinity', E'{"a":\n[1,  2]}', '{"x": 1e3}',
        '2026-01-31 12:00:00.5', '2026-01-31 12:00:00+02', 'infinity', '2026-01-31', 'a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11', '\\x00ff',
        '{1,NULL,3}', array['a,b', 'NULL', null, 'q"\\ }', ''], '{{1,2},{3,4}}', array['{"k": [1]}'::jsonb, 'null'], '{2026-01-31 12:00:00+00}',
        'sad', '{happy,sad}', 'abc', '{abc}', '[1,4)', 'x', null)`,
    );
    const [{ event }] = (await read({ table })) as [Emitted];
    const text = payloadText(event);
    expect(text).toContain('"big":9007199254740993,"num":1.50,');
    expect(text).not.toContain("\n");
    expect(JSON.parse(text.replace("9007199254740993", '"exact"'))).toEqual({
      id: 1,
      b: true,
      big: "exact",
      num: 1.5,
      nan: "NaN",
      f: 0.1,
      inf: "-Infinity",
      j: { a: [1, 2] },
      jb: { x: 1000 },
      t: "2026-01-31T12:00:00.5",
      tz: "2026-01-31T10:00:00Z",
      never: "infinity",
      d: "2026-01-31",
      u: "a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11",
      by: "\\x00ff",
      ai: [1, null, 3],
      at: ["a,b", "NULL", null, 'q"\\ }', ""],
      aa: [
        [1, 2],
        [3, 4],
      ],
      aj: [{ k: [1] }, null],
      atz: ["2026-01-31T12:00:00Z"],
      m: "sad",
      am: ["happy", "sad"],
      s: "abc",
      ash: ["abc"],
      r: "[1,4)",
      'we"ird name': "x",
      nothing: null,
    });
  });

  it("reads in the order of keys of any type", async () => {
    const table = newTable();
    await database.query(
      `create table ${table} ("K" text, at timestamptz, num numeric, n int, primary key ("K", at, num))`,
      `insert into ${table} select chr(97 + i % 4) || '''"', timestamptz '2026-01-01' + i % 7 * interval '1.000001 second', i / 7.0, i from generate_series(1, 60) i`,
    );
    const expected = (await database.query(`select n from ${table} order by "K", at, num`)).map(Number);
    const rows = await read({ table, batch: 7 });
    expect(rows.map(({ event }) => (payloadJson(event) as { n: number }).n)).toEqual(expected);
  });

  it("refuses rows that have no place of their own", async () => {
    const table = newTable();
    await database.query(
      `create table ${table} (n numeric, m int)`,
      `insert into ${table} values (1.0, 1), (2, 2), (2.00, 3), (3, null)`,
    );
    expect(await codeOf(read({ table }))).toBe("components/postgres-no-key");
    for (const batch of [1, 2, 3, 10]) {
      expect(await codeOf(read({ table, key: ["n"], batch }))).toBe("components/postgres-key-not-unique");
    }
    expect(await codeOf(read({ table, key: ["m"] }))).toBe("components/postgres-null-key");
    expect(await codeOf(read({ query: `select * from ${table}`, key: ["m"] }))).toBe("components/postgres-null-key");
    expect(await codeOf(read({ table, key: ["n"] }, { after: { m: "1" } }))).toBe("components/postgres-key-changed");
    expect(await codeOf(read({ table: "nosuch" }))).toBe("components/postgres-no-table");
    expect(await codeOf(read({ table: "nosuch", key: ["id"] }))).toBe("components/postgres-no-table");
  });

  it("goes on with a column that is added meanwhile", async () => {
    const table = newTable();
    await database.query(
      `create table ${table} (id int primary key)`,
      `insert into ${table} select generate_series(1, 4)`,
    );
    const rows = await runSource(source, {
      config: settings({ table, batch: 2 }),
      onEmit: async ({ position }) => {
        if (JSON.stringify(position) !== '{"after":{"id":"2"}}') return;
        await database.query(`alter table ${table} add more text default 'new'`);
      },
    });
    expect(rows.map(({ event }) => payloadJson(event))).toEqual([
      { id: 1 },
      { id: 2 },
      { id: 3, more: "new" },
      { id: 4, more: "new" },
    ]);
  });

  it("goes on where it was when the database restarts", async () => {
    await using other = await Postgres.create();
    await other.query("create table t (id int primary key)", "insert into t select generate_series(1, 30)");
    const reasons: string[] = [];
    let restarted = false;
    const rows = await runSource(source, {
      config: { url: `postgres://flow@127.0.0.1:${other.port}/postgres`, table: "t", batch: 4 },
      degraded: (reason) => void reasons.push(reason),
      onEmit: async () => {
        if (restarted) return;
        restarted = true;
        await other.stop("immediate");
        void poll(() => reasons.some((reason) => reason !== "")).then(() => other.start());
      },
    });
    expect(rows.map(({ event }) => (payloadJson(event) as { id: number }).id)).toEqual(
      Array.from({ length: 30 }, (_, i) => i + 1),
    );
    expect(reasons.at(-1)).toBe("");
  });
});

/** Follows a table until `stop`, with what it has read so far. */
class Follower {
  readonly rows: Emitted[] = [];
  readonly reasons: string[] = [];
  readonly #end = new AbortController();
  readonly #ran: Promise<unknown>;

  constructor(more: Record<string, unknown>, position?: unknown) {
    const cursor = { mode: "cursor", cursor: "at", interval: "10ms" };
    this.#ran = runSource(source, {
      config: settings({ ...cursor, ...more }),
      position,
      signal: this.#end.signal,
      degraded: (reason) => void this.reasons.push(reason),
      onEmit: (one) => void this.rows.push(one),
    });
  }

  get ids(): number[] {
    return this.rows.map(({ event }) => (payloadJson(event) as { id: number }).id);
  }

  async until(count: number): Promise<void> {
    let failed: unknown;
    void this.#ran.catch((error: unknown) => {
      failed = error;
    });
    await poll(() => {
      if (failed !== undefined) throw failed;
      return this.rows.length >= count;
    });
  }

  async stop(): Promise<void> {
    this.#end.abort();
    await this.#ran;
  }
}

/** Whether a follower waits for transactions that are open. */
async function isHeldBack(since = "true"): Promise<boolean> {
  const waiting = `application_name like 'flowctl test/%' and query like '%pg_prepared_xacts%' and ${since}`;
  return (await database.query(`select 1 from pg_stat_activity where ${waiting}`)).length > 0;
}

const CHANGING = "(id int primary key, v int default 0, at timestamptz not null default clock_timestamp())";

describe.skipIf(skipped)("the source postgres by a cursor", () => {
  it("reads what is there, then what comes and what changes, and goes on where it was", async () => {
    const table = newTable();
    await database.query(`create table ${table} ${CHANGING}`, `insert into ${table} select generate_series(1, 5)`);
    const first = new Follower({ table, batch: 2 });
    await first.until(5);
    await database.query(`insert into ${table} values (6)`);
    await first.until(6);
    await database.query(`update ${table} set v = 1, at = clock_timestamp() where id = 2`);
    await first.until(7);
    await first.stop();
    expect(first.ids).toEqual([1, 2, 3, 4, 5, 6, 2]);
    await database.query(`insert into ${table} values (7)`);
    const second = new Follower({ table }, first.rows.at(-1)?.position);
    await second.until(1);
    await second.stop();
    expect(second.ids).toEqual([7]);
  });

  it("looks at once when it is notified", async () => {
    const table = newTable();
    await database.query(`create table ${table} ${CHANGING}`, `insert into ${table} values (1)`);
    const follower = new Follower({ table, interval: "1h", notify: "News" });
    await follower.until(1);
    await database.query(`insert into ${table} values (2)`, `notify "News"`);
    await follower.until(2);
    await follower.stop();
    expect(follower.ids).toEqual([1, 2]);
  });

  it("waits for rows that were taken a smaller value for and are committed later", async () => {
    const table = newTable();
    await database.query(`create table ${table} ${CHANGING}`);
    const follower = new Follower({ table });
    const early = `begin; insert into ${table} values (1); prepare transaction 'early-${table}'`;
    await database.query(early);
    await database.query(`insert into ${table} values (2)`);
    await poll(() => isHeldBack());
    expect(follower.ids).toEqual([]);
    await database.query(`commit prepared 'early-${table}'`);
    await follower.until(2);
    await follower.stop();
    expect(follower.ids).toEqual([1, 2]);
  });

  it("waits for a transaction that is prepared while it is waited for", async () => {
    const table = newTable();
    await database.query(`create table ${table} ${CHANGING}`);
    const follower = new Follower({ table });
    const held = `select pg_advisory_lock(1), pg_sleep(86400)`;
    const holder = database.query(held).catch(() => undefined);
    const isHeld = async () =>
      (await database.query("select 1 from pg_locks where locktype = 'advisory' and granted")).length > 0;
    await poll(isHeld);
    const early = database.query(
      "begin",
      `insert into ${table} values (1)`,
      "select pg_advisory_xact_lock_shared(1)",
      `prepare transaction 'late-${table}'`,
    );
    const writes = "select 1 from pg_stat_activity where wait_event = 'advisory'";
    await poll(async () => (await database.query(writes)).length > 0);
    await database.query(`insert into ${table} values (2)`);
    await poll(() => isHeldBack());
    await database.query(`select pg_terminate_backend(pid) from pg_stat_activity where query = '${held}'`);
    await Promise.all([early, holder]);
    await poll(async () => await isHeldBack("query_start > (select max(prepared) from pg_prepared_xacts)"));
    expect(follower.ids).toEqual([]);
    await database.query(`commit prepared 'late-${table}'`);
    await follower.until(2);
    await follower.stop();
    expect(follower.ids).toEqual([1, 2]);
  });

  it("loses no row that random writers commit in any order, nor reads one twice", async () => {
    const table = newTable();
    await database.query(`create table ${table} (id serial primary key, w int, at timestamptz not null default now())`);
    const follower = new Follower({ table, batch: 7 });
    const writers = Array.from({ length: 4 }, async (_, w) => {
      for (let i = 0; i < 25; i++) {
        const pause = fc.sample(fc.integer({ min: 0, max: 30 }), { numRuns: 1, seed: 1000 * w + i })[0]! / 1000;
        await database.query(
          "begin",
          `select pg_sleep(${pause})`,
          `insert into ${table} (w) values (${w}), (${w})`,
          "commit",
        );
      }
    });
    await Promise.all(writers);
    await follower.until(200);
    await database.query(`insert into ${table} (w) values (9)`);
    await follower.until(201);
    await follower.stop();
    expect(follower.ids.toSorted((a, b) => a - b)).toEqual(Array.from({ length: 201 }, (_, i) => i + 1));
  });

  it("leaves rows without a value alone until they have one", async () => {
    const table = newTable();
    await database.query(
      `create table ${table} (id int primary key, at timestamptz)`,
      `insert into ${table} values (1, null), (2, now())`,
    );
    const follower = new Follower({ table });
    await follower.until(1);
    await database.query(`update ${table} set at = clock_timestamp() where id = 1`);
    await follower.until(2);
    await follower.stop();
    expect(follower.ids).toEqual([2, 1]);
  });

  it("stops at once while it waits for a transaction", async () => {
    const table = newTable();
    await database.query(`create table ${table} ${CHANGING}`, `insert into ${table} values (1)`);
    await database.query(`begin; insert into ${table} values (2); prepare transaction 'open-${table}'`);
    const follower = new Follower({ table });
    await poll(() => isHeldBack());
    await follower.stop();
    expect(follower.ids).toEqual([]);
    await database.query(`rollback prepared 'open-${table}'`);
  });
});
