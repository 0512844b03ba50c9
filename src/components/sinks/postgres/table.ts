import type { Client } from "pg";
import { FlowctlError } from "../../../sdk/index.ts";
import { besideTable, quoted, quotedTable } from "../../postgres/names.ts";

/** A column that is to be written. */
export interface WantedColumn {
  readonly name: string;
  /** To create it with; undefined where nothing is created. */
  readonly type?: string;
}

/** Where ids of written events are kept. */
export function ledgerOf(table: string): string {
  return besideTable(table, "flowctl_written");
}

/** Any two that create tables at once would disturb each other: one after the other, by a lock of this number. */
const CREATING = 7_036_874;

/**
 * Makes the table and the columns that it lacks. Neither removes nor changes anything that is there. In one transaction.
 */
export async function createTable(
  client: Client,
  table: string,
  columns: readonly WantedColumn[],
  key: readonly string[],
): Promise<void> {
  const types = columns.map(({ name, type }) => `${quoted(name)} ${type ?? "text"}`);
  const primary = key.length === 0 ? [] : [`PRIMARY KEY (${key.map(quoted).join(", ")})`];
  const add = types.map((column) => `ADD COLUMN IF NOT EXISTS ${column}`);
  await createOnce(client, [
    `CREATE TABLE IF NOT EXISTS ${quotedTable(table)} (${[...types, ...primary].join(", ")})`,
    `ALTER TABLE ${quotedTable(table)} ${add.join(", ")}`,
  ]);
}

/** Makes the table of written ids unless it is there: whoever may not create one can be given it. */
export async function createLedger(client: Client, table: string): Promise<void> {
  const ledger = ledgerOf(table);
  if (await exists(client, ledger)) return;
  await createOnce(client, [
    `CREATE TABLE IF NOT EXISTS ${ledger} (sink text, event_id text, written_at timestamptz NOT NULL DEFAULT now(), PRIMARY KEY (sink, event_id))`,
    `CREATE INDEX IF NOT EXISTS flowctl_written_at ON ${ledger} USING brin (written_at)`,
  ]);
}

async function exists(client: Client, table: string): Promise<boolean> {
  const { rows } = await client.query<{ there: boolean }>("SELECT to_regclass($1) IS NOT NULL AS there", [table]);
  return rows[0]!.there;
}

async function createOnce(client: Client, statements: readonly string[]): Promise<void> {
  const all = [`SELECT pg_advisory_xact_lock(${CREATING})`, ...statements];
  await client.query(`BEGIN; ${all.join("; ")}; COMMIT`);
}

/** The types of these columns, by name, as a value is cast to them before it is assigned: without a length, which would cut it. */
export async function columnTypes(
  client: Client,
  table: string,
  names: readonly string[],
): Promise<ReadonlyMap<string, string>> {
  const { rows } = await client.query<{ name: string; type: string }>(
    `SELECT attname AS name, format_type(atttypid, -1) AS type FROM pg_attribute
     WHERE attrelid = to_regclass($1) AND attnum > 0 AND NOT attisdropped`,
    [quotedTable(table)],
  );
  if (rows.length === 0) {
    throw new FlowctlError({
      code: "components/postgres-no-table",
      kind: "unavailable",
      message: `there is no table ${table}, or it may not be seen`,
      fix: "create it, or set `create: true`",
    });
  }
  const types = new Map(rows.map(({ name, type }) => [name, type]));
  const missing = names.filter((name) => !types.has(name));
  if (missing.length === 0) return types;
  throw new FlowctlError({
    code: "components/postgres-no-column",
    kind: "unavailable",
    message: `table ${table} has no column ${missing.join(", ")}`,
    fix: `it has ${[...types.keys()].join(", ")}; name one of these, or set \`create: true\` to add what is missing`,
  });
}
