import { quoted, quotedTable } from "../../postgres/names.ts";
import { ledgerOf } from "./table.ts";

export interface StatementOptions {
  readonly table: string;
  readonly mode: "insert" | "upsert" | "delete";
  /** Names of the columns, in the order of their parameters, and their types. */
  readonly columns: readonly { readonly name: string; readonly type: string }[];
  readonly key: readonly string[];
  readonly once: boolean;
}

/**
 * One statement for a batch of any length, atomic by itself: with `once` it first takes the ids that are not written yet, and then
 * writes their rows. Parameters: the sink's name, the ids (text[]), which rows are to be removed (boolean[]), then a text[] a column.
 * Of rows with the same key, the last one counts.
 */
export function batchStatement({ table, mode, columns, key, once }: StatementOptions): string {
  const target = quotedTable(table);
  const arrays = columns.map((_, i) => `$${i + 4}::text[]`);
  const names = columns.map((_, i) => `v${i}`);
  const given = `unnest($2::text[], $3::boolean[], ${arrays.join(", ")}) WITH ORDINALITY AS given (id, flowctl_gone, ${names.join(", ")}, flowctl_place)`;
  const cast = columns.map(({ name, type }, i) => `v${i}::${type} AS ${quoted(name)}`);
  const values = `SELECT flowctl_place, flowctl_gone, ${cast.join(", ")} FROM ${given}`;
  const all = once
    ? `fresh AS (INSERT INTO ${ledgerOf(table)} (sink, event_id) SELECT $1, unnest($2::text[]) ON CONFLICT DO NOTHING RETURNING event_id), todo AS (${values} JOIN fresh ON event_id = id)`
    : `todo AS (${values} WHERE $1::text IS NOT NULL)`;
  const fields = columns.map(({ name }) => quoted(name)).join(", ");
  const keys = key.map(quoted);
  const from = `SELECT ${fields} FROM`;
  if (mode === "insert") return `WITH ${all} INSERT INTO ${target} (${fields}) ${from} todo ORDER BY flowctl_place`;
  const last = `latest AS (SELECT DISTINCT ON (${keys.join(", ")}) * FROM todo ORDER BY ${keys.join(", ")}, flowctl_place DESC)`;
  const same = keys.map((name) => `old.${name} = latest.${name}`).join(" AND ");
  if (mode === "delete") return `WITH ${all}, ${last} DELETE FROM ${target} old USING latest WHERE ${same}`;
  const removed = `removed AS (DELETE FROM ${target} old USING latest WHERE latest.flowctl_gone AND ${same})`;
  const rest = columns.filter(({ name }) => !key.includes(name)).map(({ name }) => quoted(name));
  const update = rest.map((name) => `${name} = excluded.${name}`).join(", ");
  const conflict = rest.length === 0 ? "DO NOTHING" : `DO UPDATE SET ${update}`;
  return `WITH ${all}, ${last}, ${removed} INSERT INTO ${target} (${fields}) ${from} latest WHERE NOT flowctl_gone ON CONFLICT (${keys.join(", ")}) ${conflict}`;
}
