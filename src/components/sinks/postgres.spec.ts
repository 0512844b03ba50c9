import * as z from "zod";
import type { BuiltinSpec, SettingProblem } from "../../pipeline/catalog.ts";
import { durationSchema } from "../duration.ts";
import { checkExpression } from "../expression/check-expression.ts";
import { eventExpressions } from "../expression/event-scope.ts";
import { checkConnection, connectionSecrets, connectionSettings } from "../postgres/connection.spec.ts";

const columnSchema = z.union([
  z.string().min(1),
  z.strictObject({
    value: z.string().min(1).describe("CEL expression for the value."),
    type: z.string().min(1).describe("Type of the column where `create` makes it, such as `timestamptz not null`."),
  }),
]);

export const postgresSinkConfig = z.strictObject({
  ...connectionSettings,
  table: z.string().min(1).describe("The table, also as `schema.table`. Upper and lower case count."),
  mode: z
    .enum(["insert", "upsert", "delete", "copy"])
    .default("insert")
    .describe(
      "`insert`: a row for each event. `copy`: the same by COPY, which is faster. `upsert`: replaces the row with the same `key`. " +
        "`delete`: removes the row with the same `key`.",
    ),
  key: z.array(z.string().min(1)).default([]).describe("With `upsert` and `delete`: the columns that tell rows apart."),
  delete_when: z
    .string()
    .min(1)
    .optional()
    .describe("With `upsert`: a CEL expression; where it is true, the row is removed instead."),
  columns: z
    .record(z.string().min(1), columnSchema)
    .default({ id: "id", type: "type", timestamp: "timestamp", payload: "payload" })
    .describe(
      "Column → CEL expression, such as `{ place: payload.place, at: timestamp }`, or `{ value: payload.place, type: text }`. " +
        "Objects and lists become JSON, or an array where the column is one.",
    ),
  create: z
    .boolean()
    .default(false)
    .describe("Create the table if it does not exist, with `key` as its primary key, and add columns that it lacks."),
  once: z
    .boolean()
    .default(true)
    .describe(
      "Write each event only once, also when it is delivered again: its id is kept in the table `flowctl_written` beside `table`, in the " +
        "same transaction. false: at least once, without that table.",
    ),
  remember: durationSchema.default("7d").describe("With `once`: how long ids are kept."),
});

export type PostgresSinkConfig = z.output<typeof postgresSinkConfig>;

/** Types of columns that need none said: those that are a part of the event alone. */
const KNOWN_TYPES: Readonly<Record<string, string>> = {
  id: "text",
  type: "text",
  timestamp: "timestamptz",
  source: "text",
  content_type: "text",
  metadata: "jsonb",
  payload: "jsonb",
};

/** The expression of a column, and the type to create it with where it is known. */
export function columnOf(column: z.output<typeof columnSchema>): { readonly value: string; readonly type?: string } {
  if (typeof column !== "string") return column;
  const type = KNOWN_TYPES[column];
  return type === undefined ? { value: column } : { value: column, type };
}

export const postgresSinkSpec: BuiltinSpec = {
  name: "postgres",
  type: "sink",
  summary: "Writes events into a table of a PostgreSQL database, each once.",
  schema: postgresSinkConfig,
  paths: { ca: "read" },
  consumes: [],
  produces: [],
  check(settings) {
    const config = settings as PostgresSinkConfig;
    return [...checkConnection(config), ...checkColumns(config), ...checkKey(config)];
  },
  secretsOf: (settings) => connectionSecrets(settings as PostgresSinkConfig),
};

function checkColumns({ columns, create }: PostgresSinkConfig): SettingProblem[] {
  const compiler = eventExpressions();
  const problems: SettingProblem[] = [];
  if (Object.keys(columns).length === 0) {
    problems.push({
      path: ["columns"],
      message: "no column is written",
      fix: "name one, such as `{ payload: payload }`",
    });
  }
  for (const [name, column] of Object.entries(columns)) {
    const { value, type } = columnOf(column);
    const path = typeof column === "string" ? ["columns", name] : ["columns", name, "value"];
    const wrong = checkExpression(compiler, value, { path });
    problems.push(...wrong);
    if (!create || type !== undefined || wrong.length > 0) continue;
    problems.push({
      path,
      message: `create needs to know the type of column ${name}`,
      fix: `write \`${name}: { value: ${JSON.stringify(value)}, type: text }\``,
    });
  }
  return problems;
}

function checkKey({ mode, key, columns, delete_when: deleteWhen }: PostgresSinkConfig): SettingProblem[] {
  const problems: SettingProblem[] = [];
  const needsKey = mode === "upsert" || mode === "delete";
  if (needsKey && key.length === 0) {
    problems.push({ path: ["mode"], message: `mode ${mode} requires key`, fix: "add `key: [id]`" });
  }
  if (!needsKey && key.length > 0 && mode === "copy") {
    problems.push({
      path: ["key"],
      message: "key has no effect with mode copy",
      fix: "remove it, or set mode: upsert",
    });
  }
  const known = Object.keys(columns);
  for (const [index, name] of key.entries()) {
    if (known.includes(name)) continue;
    problems.push({
      path: ["key", index],
      message: `key names a column that is not written`,
      unknown: { name, known },
    });
  }
  if (deleteWhen === undefined) return problems;
  if (mode !== "upsert") {
    problems.push({ path: ["delete_when"], message: "delete_when requires mode upsert", fix: "set mode: upsert" });
  }
  problems.push(...checkExpression(eventExpressions(), deleteWhen, { path: ["delete_when"], types: ["bool"] }));
  return problems;
}
