import { createHash } from "node:crypto";
import * as z from "zod";
import type { BuiltinSpec, SettingProblem } from "../../pipeline/catalog.ts";
import type { Partition } from "../../sdk/index.ts";
import { durationSchema } from "../duration.ts";
import { checkConnection, connectionSecrets, connectionSettings, databaseUrl } from "../postgres/connection.spec.ts";

export const postgresSourceConfig = z.strictObject({
  ...connectionSettings,
  table: z
    .string()
    .min(1)
    .optional()
    .describe("The table or view to read, also as `schema.table`. Upper and lower case count. Either this or `query`."),
  query: z.string().min(1).optional().describe("A `SELECT` to read the rows of, in place of `table`."),
  key: z
    .array(z.string().min(1))
    .min(1)
    .optional()
    .describe(
      "Columns that tell rows apart and that are never null: rows are read in their order. Default: the primary key of `table`.",
    ),
  mode: z
    .enum(["snapshot", "cursor"])
    .default("snapshot")
    .describe(
      "`snapshot`: all rows once; then the source completes. `cursor`: all rows in the order of the column `cursor`, then each that is inserted " +
        "or updated, as it comes.",
    ),
  cursor: z
    .string()
    .min(1)
    .optional()
    .describe(
      "With `cursor`: a column that grows with each insert and update, such as `updated_at`. Rows in which it is null are not read.",
    ),
  interval: durationSchema.default("1s").describe("With `cursor`: time between two looks for new rows."),
  notify: z
    .string()
    .min(1)
    .optional()
    .describe("With `cursor`: a channel; its notifications (`NOTIFY`) make the source look for new rows at once."),
  batch: z.int().positive().max(100_000).default(1000).describe("Rows to read at a time."),
  type: z.string().min(1).default("row").describe("Type of the events."),
});

export type PostgresSourceConfig = z.output<typeof postgresSourceConfig>;

/** One partition: what is read. Another user or password, or pages of another size, are no other rows. */
export function postgresPartitions(config: PostgresSourceConfig): readonly Partition[] {
  const { url, url_secret: urlSecret, table, query, key, mode, cursor } = config;
  const parsed = databaseUrl(url ?? "");
  const where = parsed === undefined ? `secret ${urlSecret}` : `${parsed.host}${parsed.pathname}`;
  const digest = createHash("sha256")
    .update(JSON.stringify([where, table, query, key, mode, cursor]))
    .digest("base64url");
  return [{ id: "", identity: `${mode} of ${table ?? "query"} at ${where} ${digest.slice(0, 12)}` }];
}

export const postgresSourceSpec: BuiltinSpec = {
  name: "postgres",
  type: "source",
  summary: "Reads the rows of a PostgreSQL table or query as events, once or as they change.",
  schema: postgresSourceConfig,
  paths: { ca: "read" },
  shareable: false,
  partitions: (settings) => postgresPartitions(settings as PostgresSourceConfig),
  consumes: [],
  produces: [],
  producesWith: (settings) => [(settings as PostgresSourceConfig).type],
  check(settings) {
    const config = settings as PostgresSourceConfig;
    return [...checkConnection(config), ...checkRows(config), ...checkCursor(config)];
  },
  secretsOf: (settings) => connectionSecrets(settings as PostgresSourceConfig),
};

function checkRows({ table, query, key }: PostgresSourceConfig): SettingProblem[] {
  if (table !== undefined && query !== undefined) {
    return [{ path: ["query"], message: "table and query cannot be used together", fix: "remove one of the two" }];
  }
  if (table === undefined && query === undefined) {
    return [{ path: [], message: "table or query is missing", fix: "add `table: orders`" }];
  }
  const problems: SettingProblem[] = [];
  if (query !== undefined && key === undefined) {
    problems.push({ path: ["query"], message: "query requires key", fix: "add `key: [id]`, which its rows have" });
  }
  if (query !== undefined && /;\s*$/.test(query)) {
    problems.push({ path: ["query"], message: "the query ends with a semicolon", fix: "remove the semicolon" });
  }
  if (key !== undefined && new Set(key).size < key.length) {
    problems.push({ path: ["key"], message: "key names a column twice", fix: "remove one of the two" });
  }
  return problems;
}

function checkCursor(config: PostgresSourceConfig): SettingProblem[] {
  if (config.mode === "cursor") {
    if (config.cursor !== undefined) return [];
    return [
      { path: ["mode"], message: "mode cursor requires cursor", fix: "add `cursor: updated_at`, a column that grows" },
    ];
  }
  return (["cursor", "notify"] as const)
    .filter((name) => config[name] !== undefined)
    .map((name) => ({ path: [name], message: `${name} requires mode cursor`, fix: "set mode: cursor" }));
}
