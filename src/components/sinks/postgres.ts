import { pipeline } from "node:stream/promises";
import type { Client } from "pg";
import type { Clock } from "../../foundation/clock.ts";
import { messageOf } from "../../foundation/errors.ts";
import {
  type ComponentDefinition,
  defineSink,
  type Event,
  FlowctlError,
  type Logger,
  type SinkHandlers,
} from "../../sdk/index.ts";
import { builtInVersion } from "../built-in-version.ts";
import { durationMs } from "../duration.ts";
import { EventScope, eventExpressions } from "../expression/event-scope.ts";
import type { Expression } from "../expression/expression.ts";
import { toJson } from "../expression/to-json.ts";
import { PostgresConnection } from "../postgres/connection.ts";
import { isRefusedStatement, isSchemaChange, postgresFailure } from "../postgres/failure.ts";
import { quoted, quotedTable } from "../postgres/names.ts";
import { columnText, copyText } from "./postgres/column-text.ts";
import { batchStatement } from "./postgres/statement.ts";
import { columnTypes, createLedger, createTable, ledgerOf } from "./postgres/table.ts";
import { columnOf, type PostgresSinkConfig, postgresSinkConfig } from "./postgres.spec.ts";

/** Between two removals of ids that need not be remembered any more, in milliseconds. */
const FORGET_EVERY = 3_600_000;

/**
 * Each batch is one transaction: the rows, and with `once` the ids of their events, so that an event that is delivered again
 * changes nothing, whatever was killed between.
 */
export function createPostgresSink(clock: Clock): ComponentDefinition {
  return defineSink({
    name: "postgres",
    version: builtInVersion,
    config: postgresSinkConfig,
    async open({ config, instance, log, secret }) {
      const name = `${instance.pipeline}/${instance.componentId}`;
      const connection = new PostgresConnection({ config, name: `flowctl ${name}-${instance.index}`, secret, log });
      const writer = new TableWriter({ config, sink: name, connection, clock, log });
      try {
        await writer.prepare();
      } catch (error) {
        await connection.close();
        throw error;
      }
      return writer;
    },
  });
}

/** What is written of a batch: a list of texts a column. */
interface Rows {
  readonly ids: readonly string[];
  readonly gone: readonly boolean[];
  readonly columns: readonly (readonly (string | null)[])[];
}

interface Column {
  readonly name: string;
  readonly type: string;
  readonly expression: Expression;
}

interface WriterOptions {
  readonly config: PostgresSinkConfig;
  readonly sink: string;
  readonly connection: PostgresConnection;
  readonly clock: Clock;
  readonly log: Logger;
}

class TableWriter implements SinkHandlers {
  readonly #config: PostgresSinkConfig;
  /** What the ids are kept under: the same for all instances, which may be given each other's events. */
  readonly #sink: string;
  readonly #connection: PostgresConnection;
  readonly #clock: Clock;
  readonly #log: Logger;
  readonly #scope = new EventScope();
  readonly #expressions: readonly (readonly [name: string, expression: Expression])[];
  readonly #deleteWhen: Expression | undefined;
  /** Undefined: the table is to be looked at. */
  #columns: readonly Column[] | undefined;
  #statement = "";
  #forgottenAt: number | undefined;

  constructor({ config, sink, connection, clock, log }: WriterOptions) {
    this.#config = config;
    this.#log = log;
    this.#sink = sink;
    this.#connection = connection;
    this.#clock = clock;
    const compiler = eventExpressions();
    this.#expressions = Object.entries(config.columns).map(([name, column]) => [
      name,
      compiler.mustCompile(columnOf(column).value),
    ]);
    this.#deleteWhen = config.delete_when === undefined ? undefined : compiler.mustCompile(config.delete_when);
  }

  /** Connects, and makes what is to be created. */
  async prepare(): Promise<void> {
    await this.#attempt("prepare", (client) => this.#lookAt(client));
  }

  async write(events: readonly Event[]): Promise<void> {
    await this.#attempt("write to", async (client) => {
      const columns = this.#columns ?? (await this.#lookAt(client));
      const rows = this.#rowsOf(columns, events);
      if (this.#config.mode === "copy") await this.#copy(client, columns, rows);
      else {
        const values = [this.#sink, rows.ids, rows.gone, ...rows.columns];
        await client.query({ name: "write", text: this.#statement, values });
      }
    });
    await this.#forget();
  }

  async close(): Promise<void> {
    await this.#connection.close();
  }

  /** A refused statement leaves the connection as it was; after any other failure nobody knows what state it is in. */
  async #attempt(doing: string, what: (client: Client) => Promise<unknown>): Promise<void> {
    const client = await this.#connection.client();
    try {
      await what(client);
    } catch (error) {
      if (error instanceof FlowctlError) throw error;
      const isChanged = isSchemaChange(error);
      if (isChanged) this.#columns = undefined;
      if (isChanged || !(await rolledBack(client, error))) await this.#connection.reset();
      throw postgresFailure(error, `${doing} table ${this.#config.table}`);
    }
  }

  async #lookAt(client: Client): Promise<readonly Column[]> {
    const { table, key, once, mode, create } = this.#config;
    const wanted = Object.entries(this.#config.columns).map(([name, column]) => ({ name, ...columnOf(column) }));
    if (create) await createTable(client, table, wanted, key);
    if (once) await createLedger(client, table);
    const types = await columnTypes(
      client,
      table,
      wanted.map(({ name }) => name),
    );
    const columns = this.#expressions.map(([name, expression]) => ({ name, type: types.get(name)!, expression }));
    if (mode !== "copy") this.#statement = batchStatement({ table, mode, columns, key, once });
    this.#columns = columns;
    return columns;
  }

  /** An event that was delivered twice in one batch is one row. What removes a row has to name its key alone. */
  #rowsOf(columns: readonly Column[], events: readonly Event[]): Rows {
    const ids: string[] = [];
    const gone: boolean[] = [];
    const values: (string | null)[][] = columns.map(() => []);
    const known = new Set<string>();
    for (const event of events) {
      if (this.#config.once && known.has(event.id)) continue;
      known.add(event.id);
      this.#scope.reset(event);
      ids.push(event.id);
      const isGone = this.#deleteWhen?.evaluate(this.#scope) === true;
      gone.push(isGone);
      for (let i = 0; i < columns.length; i++) {
        const { name, expression, type } = columns[i]!;
        const isNeeded = !isGone || this.#config.key.includes(name);
        values[i]!.push(isNeeded ? columnText(toJson(expression.evaluate(this.#scope)), type) : null);
      }
    }
    return { ids, gone, columns: values };
  }

  async #copy(client: Client, columns: readonly Column[], { ids, columns: values }: Rows): Promise<void> {
    const { copyFrom } = await import("../clients/postgres.ts");
    const { table, once } = this.#config;
    await client.query("BEGIN");
    const rows = once ? await this.#fresh(client, ids) : ids.keys();
    const fields = columns.map(({ name }) => quoted(name)).join(", ");
    const into = client.query(copyFrom(`COPY ${quotedTable(table)} (${fields}) FROM STDIN`));
    await pipeline([copyText(values, rows)], into);
    await client.query("COMMIT");
  }

  /** Takes the ids that are not written yet, in the transaction of their rows. Returns their places. */
  async #fresh(client: Client, ids: readonly string[]): Promise<readonly number[]> {
    const { rows } = await client.query<{ event_id: string }>({
      name: "fresh",
      text: `INSERT INTO ${ledgerOf(this.#config.table)} (sink, event_id) SELECT $1, unnest($2::text[]) ON CONFLICT DO NOTHING RETURNING event_id`,
      values: [this.#sink, ids],
    });
    const fresh = new Set(rows.map((row) => row.event_id));
    return [...ids.keys()].filter((place) => fresh.has(ids[place]!));
  }

  /** Now and then: what was written is acknowledged, so that a failure of this is none of theirs. */
  async #forget(): Promise<void> {
    if (!this.#config.once) return;
    const now = this.#clock.elapsed();
    this.#forgottenAt ??= now;
    if (now - this.#forgottenAt < FORGET_EVERY) return;
    this.#forgottenAt = now;
    const text = `DELETE FROM ${ledgerOf(this.#config.table)} WHERE sink = $1 AND written_at < now() - $2 * interval '1 millisecond'`;
    await this.#attempt("remove old ids beside", (client) =>
      client.query(text, [this.#sink, durationMs(this.#config.remember)]),
    ).catch((error: unknown) => this.#log.warn("old ids are not removed", { reason: messageOf(error) }));
  }
}

/** Whether the connection goes on: the database refused the statement, and what it was a part of is undone. */
async function rolledBack(client: Client, error: unknown): Promise<boolean> {
  if (!isRefusedStatement(error)) return false;
  return client.query("ROLLBACK").then(
    () => true,
    () => false,
  );
}
