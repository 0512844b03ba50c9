import type { Client, FieldDef } from "pg";

/** Writes one value, as the database gives it as a text, as JSON. */
export type Writer = (text: string) => string;

const NUMBER = /^-?(?:0|[1-9]\d*)(?:\.\d+)?(?:[eE][+-]?\d+)?$/;

/** Digits as they are, however many; `NaN` and `Infinity`, which JSON has not, as texts. */
const number: Writer = (text) => (NUMBER.test(text) ? text : JSON.stringify(text));
const bool: Writer = (text) => (text === "t" ? "true" : "false");
/** Line breaks between the parts of a `json` value would break a file with a value a line. */
const json: Writer = (text) => text.replaceAll(/[\r\n]/g, " ");
/** As RFC 3339 has it, from the style ISO in the time zone UTC; what it cannot say, such as `infinity`, as it is. */
const timestamp: Writer = (text) =>
  JSON.stringify(text.replace(/^(\d{4,}-\d\d-\d\d) (\d\d:\d\d:\d\d(?:\.\d+)?)$/, "$1T$2"));
const timestampInZone: Writer = (text) =>
  JSON.stringify(text.replace(/^(\d{4,}-\d\d-\d\d) (\d\d:\d\d:\d\d(?:\.\d+)?)\+00$/, "$1T$2Z"));

/** Ids of types that are not written as texts (`src/include/catalog/pg_type.dat` of PostgreSQL). */
const writers: ReadonlyMap<number, Writer> = new Map([
  [16, bool],
  ...[20, 21, 23, 26, 700, 701, 1700].map((id) => [id, number] as const),
  ...[114, 3802].map((id) => [id, json] as const),
  [1114, timestamp],
  [1184, timestampInZone],
]);

/** What a session has to be set to for values to be as the writers expect them. */
export const SESSION =
  "SET datestyle = 'ISO'; SET timezone = 'UTC'; SET intervalstyle = 'iso_8601'; SET bytea_output = 'hex'; SET extra_float_digits = 1";

interface TypeRow {
  readonly id: number;
  /** Of an array: the type of its elements, or what that is based on; else 0. */
  readonly element: number;
  readonly delimiter: string;
}

/** Which types are arrays of what, in the database of one connection: asked once a type. */
export class RowTypes {
  readonly #arrays = new Map<number, Writer | undefined>();

  /** Writers for the columns of a result. */
  async writers(client: Client, fields: readonly FieldDef[]): Promise<readonly Writer[]> {
    const ids = fields.map(({ dataTypeID }) => dataTypeID);
    const unknown = ids.filter((id) => !writers.has(id) && !this.#arrays.has(id));
    if (unknown.length > 0) await this.#lookUp(client, unknown);
    return ids.map((id) => writers.get(id) ?? this.#arrays.get(id) ?? JSON.stringify);
  }

  async #lookUp(client: Client, ids: readonly number[]): Promise<void> {
    const { pg } = await import("../clients/postgres.ts");
    // Its type says that it is a function, which it never was.
    const arrayParser = pg.types.arrayParser as unknown as ArrayParser;
    const { rows } = await client.query<TypeRow>(
      `SELECT t.oid::int8::float8 AS id, t.typdelim AS delimiter,
         CASE WHEN t.typcategory = 'A' AND t.typelem <> 0
           THEN coalesce(nullif(e.typbasetype, 0), e.oid)::int8::float8 ELSE 0 END AS element
       FROM pg_type t LEFT JOIN pg_type e ON e.oid = t.typelem WHERE t.oid = ANY ($1::oid[])`,
      [ids],
    );
    for (const id of ids) this.#arrays.set(id, undefined);
    for (const { id, element, delimiter } of rows) {
      // Boxes alone are separated by another character.
      if (element === 0 || delimiter !== ",") continue;
      const writer = writers.get(element) ?? JSON.stringify;
      this.#arrays.set(id, (text) => list(arrayParser.create(text, writer).parse()));
    }
  }
}

interface ArrayParser {
  create(text: string, transform: Writer): { parse(): Elements };
}

type Elements = readonly (string | null | Elements)[];

function list(elements: Elements): string {
  return `[${elements.map((one) => (one === null ? "null" : typeof one === "string" ? one : list(one))).join(",")}]`;
}

/** A row as a JSON object: `names` are those of its columns, as JSON. */
export function rowJson(
  names: readonly string[],
  values: readonly (string | null)[],
  columns: readonly Writer[],
): string {
  const members = names.map((name, i) => {
    const value = values[i] ?? null;
    return `${name}:${value === null ? "null" : columns[i]!(value)}`;
  });
  return `{${members.join(",")}}`;
}
