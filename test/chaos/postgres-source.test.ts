import { beforeAll, describe, expect, it } from "vitest";
import { buildProgram } from "../e2e/checks.ts";
import { Postgres } from "./postgres.ts";
import { poll, Rig } from "./rig.ts";

/** FLOWCTL_TEST_SKIP=postgres leaves out what needs one. */
const skipped = new Set((process.env.FLOWCTL_TEST_SKIP ?? "").split(","));

beforeAll(buildProgram);

const count = 20_000;

describe.skipIf(skipped.has("postgres"))("the source postgres, while everything is killed", () => {
  it.each(["snapshot", "cursor"] as const)("reads every row once by %s", async (mode) => {
    await using postgres = await Postgres.create();
    await postgres.query(
      "create table numbers (n int primary key, at timestamptz default clock_timestamp())",
      "create table copied (n int, at text)",
      `insert into numbers select generate_series(1, ${mode === "snapshot" ? count : 100})`,
    );
    const url = `postgres://flow@127.0.0.1:${postgres.port}/postgres`;
    const rig = await Rig.start(`postgres-${mode}`, () => [
      {
        spec: { id: "rows", type: "source" },
        run: "postgres",
        config: {
          ...{ url, table: "numbers", batch: 50 },
          ...(mode === "cursor" ? { mode, cursor: "at", interval: "20ms" } : {}),
        },
      },
      {
        spec: { id: "sink", type: "sink", inputs: [{ from: "rows", types: [] }] },
        run: "postgres",
        config: { url, table: "copied", columns: { n: "payload.n", at: "payload.at" } },
      },
    ]);
    const written = async () => Number((await postgres.query("select count(*) from copied"))[0]);
    /** Inserts and updates in pieces, so that there is something to read all the time; tried again where the database was killed. */
    let next = 101;
    const write = async () => {
      while (mode === "cursor" && next <= count) {
        const upTo = Math.min(count, next + 199);
        const rows = `insert into numbers select generate_series(${next}, ${upTo}) on conflict do nothing`;
        const done = await postgres.query(rows).then(
          () => true,
          () => false,
        );
        if (done) next = upTo + 1;
      }
    };
    let passed = false;
    try {
      const writer = write();
      const faults = [
        async () => rig.kill("rows-1"),
        async () => rig.kill("sink-1"),
        async () => {
          await postgres.stop("immediate");
          await postgres.start();
        },
        async () => rig.kill("control-plane"),
        async () => rig.kill("rows-1"),
      ];
      for (const [index, fault] of faults.entries()) {
        const enough = ((index + 1) * count) / 8;
        await poll(async () => (await written().catch(() => 0)) >= enough);
        await fault();
      }
      await writer;
      await poll(async () => (await written()) >= count);
      if (mode === "snapshot") await poll(() => rig.finished);
      else {
        // What comes twice would come before what comes after it.
        await postgres.query("update numbers set at = clock_timestamp() where n = 1");
        await poll(async () => (await postgres.query("select 1 from copied where n = 1")).length > 1);
        await postgres.query("delete from copied where ctid = (select max(ctid) from copied where n = 1)");
      }
      const numbers = (await postgres.query("select n from copied order by n")).map(Number);
      expect(numbers).toEqual(Array.from({ length: count }, (_, i) => i + 1));
      passed = true;
    } finally {
      await rig.close({ keep: !passed });
    }
  });
});
