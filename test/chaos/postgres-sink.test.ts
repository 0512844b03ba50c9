import { beforeAll, describe, expect, it } from "vitest";
import { buildProgram } from "../e2e/checks.ts";
import { Postgres } from "./postgres.ts";
import { poll, Rig } from "./rig.ts";

/** FLOWCTL_TEST_SKIP=postgres leaves out what needs one. */
const skipped = new Set((process.env.FLOWCTL_TEST_SKIP ?? "").split(","));

beforeAll(buildProgram);

const count = 20_000;

/** A constraint would refuse what is written twice, and hide it: the table has none, unless rows are told apart by it. */
const modes = {
  insert: { columns: "n int", settings: {} },
  copy: { columns: "n int", settings: {} },
  upsert: { columns: "n int primary key, writes int default 1", settings: { key: ["n"] } },
} as const;

describe.skipIf(skipped.has("postgres"))("the sink postgres, two instances of it, while everything is killed", () => {
  it.each(["insert", "copy", "upsert"] as const)("writes every event once by %s", async (mode) => {
    await using postgres = await Postgres.create();
    const { columns, settings } = modes[mode];
    await postgres.query(`create table numbers (${columns})`);
    const url = `postgres://flow@127.0.0.1:${postgres.port}/postgres`;
    const rig = await Rig.start(`postgres-${mode}`, () => [
      {
        spec: { id: "numbers", type: "source" },
        run: "generator",
        config: { count, rate: 5_000, template: { n: "sequence" } },
      },
      {
        spec: { id: "sink", type: "sink", replicas: 2, inputs: [{ from: "numbers", types: [] }] },
        run: "postgres",
        config: { url, table: "numbers", mode, columns: { n: "payload.n" }, ...settings },
      },
    ]);
    const written = async () => Number((await postgres.query("select count(*) from numbers"))[0]);
    let passed = false;
    try {
      const faults = [
        async () => rig.kill("sink-1"),
        async () => rig.kill("numbers-1"),
        async () => {
          await postgres.stop("immediate");
          await postgres.start();
        },
        async () => rig.kill("control-plane"),
        async () => rig.kill("sink-2"),
      ];
      for (const [index, fault] of faults.entries()) {
        const enough = ((index + 1) * count) / 8;
        await poll(async () => rig.finished || (await written()) >= enough);
        expect(rig.finished).toBe(false);
        await fault();
      }
      await poll(() => rig.finished);
      const numbers = (await postgres.query("select n from numbers order by n")).map(Number);
      expect(numbers).toEqual(Array.from({ length: count }, (_, i) => i + 1));
      passed = true;
    } finally {
      await rig.close({ keep: !passed });
    }
  });
});
