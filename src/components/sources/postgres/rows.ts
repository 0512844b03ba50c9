import type { Client } from "pg";
import { FlowctlError } from "../../../sdk/index.ts";
import { quoted, quotedTable } from "../../postgres/names.ts";
import { RowTypes, rowJson } from "../../postgres/row-json.ts";
import type { PostgresSourceConfig } from "../postgres.spec.ts";

/** Where in the order of its rows it is: the values of the columns that they are ordered by, as texts, by their names. */
export type RowPlace = Readonly<Record<string, string>>;

export interface Row {
  /** A JSON object with a member for each column. */
  readonly json: string;
  readonly place: RowPlace;
}

/** The rows of a table or query in the order of columns, a page at a time. */
export class OrderedRows {
  readonly #from: string;
  readonly #order: readonly string[];
  readonly #shown: string;
  #types = new RowTypes();
  #typesOf: Client | undefined;

  private constructor(from: string, order: readonly string[], shown: string) {
    this.#from = from;
    this.#order = order;
    this.#shown = shown;
  }

  /**
   * Looks at what is to be read. Rejects with `components/postgres-no-table` and `components/postgres-no-key` where it is not there or cannot
   * be ordered, with `components/postgres-null-key` where a column of the key is null in a row.
   */
  static async open(client: Client, config: PostgresSourceConfig): Promise<OrderedRows> {
    const { table, query, cursor } = config;
    const shown = table === undefined ? "the query" : `table ${table}`;
    const from = table === undefined ? `(${query}\n)` : quotedTable(table);
    const key = config.key ?? (await primaryKey(client, table ?? ""));
    const maybeNull = table === undefined ? key : await nullable(client, table, key);
    const order = cursor === undefined ? key : [cursor, ...key.filter((name) => name !== cursor)];
    const rows = new OrderedRows(from, order, shown);
    await rows.#refuseNulls(client, maybeNull);
    return rows;
  }

  /** The largest value of the first column of the order, as a text; undefined where there is none. */
  async last(client: Client): Promise<string | undefined> {
    const { rows } = await client.query<{ last: string | null }>(
      `SELECT max(${quoted(this.#order[0]!)})::text AS last FROM ${this.#from} AS source`,
    );
    return rows[0]?.last ?? undefined;
  }

  /**
   * At most `limit` rows that come after `place`, and not after `last` by the first column. Empty: there are no more. Rejects with
   * `components/postgres-key-not-unique` where two of them have one place, as the second of them could be lost, and with
   * `components/postgres-key-changed` for a place in another order.
   */
  async page(client: Client, place: RowPlace | undefined, last: string | undefined, limit: number): Promise<Row[]> {
    const order = this.#order.map(quoted);
    const values: unknown[] = [limit + 1];
    const conditions: string[] = [];
    if (place !== undefined) {
      const after = this.#order.map((name) => `$${values.push(this.#valueOf(place, name))}`);
      conditions.push(`(${order.join(", ")}) > (${after.join(", ")})`);
    }
    if (last !== undefined) conditions.push(`${order[0]} <= $${values.push(last)}`);
    const where = conditions.length === 0 ? "" : `WHERE ${conditions.join(" AND ")}`;
    const by = order.join(", ");
    // Whether a row is at the place of the one before is for the database to say: 1.0 and 1.00 are the same number.
    const inPage = order.map((name) => `page.${name}`);
    const isSame = inPage.map((name) => `lag(${name}) OVER w = ${name}`).join(" AND ");
    const result = await client.query<(string | null)[]>({
      text: `SELECT page.*, ${inPage.map((name, i) => `${name}::text AS place_${i}`).join(", ")}, ${isSame}
        FROM (SELECT source.* FROM ${this.#from} AS source ${where} ORDER BY ${by} LIMIT $1) AS page
        WINDOW w AS (ORDER BY ${inPage.join(", ")}) ORDER BY ${inPage.join(", ")}`,
      values,
      rowMode: "array",
      types: { getTypeParser: () => (text: string | Buffer) => text },
    });
    const width = result.fields.length - order.length - 1;
    const fields = result.fields.slice(0, width);
    const writers = await this.#typesFor(client).writers(client, fields);
    const names = fields.map(({ name }) => JSON.stringify(name));
    const rows = result.rows.map((row): Row => {
      const place = Object.fromEntries(this.#order.map((name, i) => [name, row[width + i] ?? this.#isNull(name)]));
      if (row.at(-1) === "t") throw this.#notUnique(place);
      return { json: rowJson(names, row, writers), place };
    });
    return rows.slice(0, limit);
  }

  #typesFor(client: Client): RowTypes {
    if (this.#typesOf !== client) {
      this.#typesOf = client;
      this.#types = new RowTypes();
    }
    return this.#types;
  }

  #valueOf(place: RowPlace, name: string): string {
    const value = Object.hasOwn(place, name) ? place[name] : undefined;
    if (value !== undefined && Object.keys(place).length === this.#order.length) return value;
    throw new FlowctlError({
      code: "components/postgres-key-changed",
      kind: "invalid",
      message: `${this.#shown} was read in the order of ${Object.keys(place).join(", ")}, but its key is now ${this.#order.join(", ")}`,
      fix: `set \`key: [${Object.keys(place).join(", ")}]\` to go on as before, or read it anew under another component id`,
    });
  }

  /** A row whose place is null comes after none: it would not be read. */
  async #refuseNulls(client: Client, maybeNull: readonly string[]): Promise<void> {
    for (const name of maybeNull) {
      const { rows } = await client.query(
        `SELECT 1 FROM ${this.#from} AS source WHERE ${quoted(name)} IS NULL LIMIT 1`,
      );
      if (rows.length > 0) this.#isNull(name);
    }
  }

  #isNull(name: string): never {
    throw new FlowctlError({
      code: "components/postgres-null-key",
      kind: "invalid",
      message: `${this.#shown} has a row in which ${name} is null, which has no place in the order of ${this.#order.join(", ")}`,
      fix: "name other columns in `key`, or leave such rows out with `query`",
    });
  }

  #notUnique(place: RowPlace): FlowctlError {
    return new FlowctlError({
      code: "components/postgres-key-not-unique",
      kind: "invalid",
      message: `two rows of ${this.#shown} have the same ${this.#order.join(", ")}: ${Object.values(place).join(", ")}`,
      fix: "name columns in `key` that tell all rows apart",
    });
  }
}

async function primaryKey(client: Client, table: string): Promise<readonly string[]> {
  await refuseNoTable(client, table);
  const { rows } = await client.query<{ name: string }>(
    `SELECT attname AS name FROM pg_index JOIN LATERAL unnest(indkey) WITH ORDINALITY AS key (number, place) ON true
     JOIN pg_attribute ON attrelid = indrelid AND attnum = key.number
     WHERE indrelid = to_regclass($1) AND indisprimary ORDER BY place`,
    [quotedTable(table)],
  );
  if (rows.length > 0) return rows.map(({ name }) => name);
  throw new FlowctlError({
    code: "components/postgres-no-key",
    kind: "invalid",
    message: `${table} has no primary key to read it in the order of`,
    fix: "name columns that tell its rows apart: `key: [id]`",
  });
}

async function refuseNoTable(client: Client, table: string): Promise<void> {
  const { rows } = await client.query<{ there: boolean }>("SELECT to_regclass($1) IS NOT NULL AS there", [
    quotedTable(table),
  ]);
  if (rows[0]!.there) return;
  throw new FlowctlError({
    code: "components/postgres-no-table",
    kind: "unavailable",
    message: `there is no table ${table}, or it may not be seen`,
    fix: "create it, or name it with its schema: `table: sales.orders`",
  });
}

/** Those of the columns that may be null. */
async function nullable(client: Client, table: string, names: readonly string[]): Promise<readonly string[]> {
  await refuseNoTable(client, table);
  const { rows } = await client.query<{ name: string }>(
    "SELECT attname AS name FROM pg_attribute WHERE attrelid = to_regclass($1) AND attnum > 0 AND attnotnull",
    [quotedTable(table)],
  );
  const never = new Set(rows.map(({ name }) => name));
  return names.filter((name) => !never.has(name));
}
