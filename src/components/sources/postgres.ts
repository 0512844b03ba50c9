import type { Client } from "pg";
import type { Clock } from "../../foundation/clock.ts";
import { linkedSignal } from "../../foundation/linked-signal.ts";
import {
  type ComponentDefinition,
  defineSource,
  FlowctlError,
  type SourceContext,
  type SourceEmit,
  type SourceHandlers,
} from "../../sdk/index.ts";
import { builtInVersion } from "../built-in-version.ts";
import { durationMs } from "../duration.ts";
import { PostgresConnection } from "../postgres/connection.ts";
import { postgresFailure } from "../postgres/failure.ts";
import { quoted } from "../postgres/names.ts";
import { SESSION } from "../postgres/row-json.ts";
import { isEmpty, openTransactions, refuseStandby, stillOpen } from "./postgres/fence.ts";
import { OrderedRows, type RowPlace } from "./postgres/rows.ts";
import { type PostgresSourceConfig, postgresPartitions, postgresSourceConfig } from "./postgres.spec.ts";

/** Delays before a database that is away is tried again, in milliseconds: doubled from the first to the last. */
const FIRST_DELAY = 500;
const LAST_DELAY = 15_000;
/** How often transactions that hold rows back are looked at, in milliseconds, and after how long they are spoken of. */
const LOOK_AGAIN = 20;
const LONG = 10_000;

/** Where to go on: after this row. */
interface PostgresPosition {
  readonly after: RowPlace;
}

type Context = SourceContext<PostgresSourceConfig, PostgresPosition>;

/**
 * Emits rows in the order of their key, so that it knows by one row where to go on. An event has the id of that place: a row that is
 * read again has the same.
 */
export function createPostgresSource(clock: Clock): ComponentDefinition {
  return defineSource<PostgresSourceConfig, PostgresPosition>({
    name: "postgres",
    version: builtInVersion,
    config: postgresSourceConfig,
    partitions: ({ config }) => postgresPartitions(config),
    async open(context) {
      const reader = new PostgresReader(context, clock);
      try {
        await reader.prepare();
      } catch (error) {
        await reader.close();
        throw error;
      }
      return reader;
    },
  });
}

class PostgresReader implements SourceHandlers<PostgresPosition> {
  readonly #context: Context;
  readonly #config: PostgresSourceConfig;
  readonly #clock: Clock;
  readonly #connection: PostgresConnection;
  #rows: OrderedRows | undefined;
  #after: RowPlace | undefined;
  #delay = FIRST_DELAY;
  /** Wakes whoever waits for new rows. */
  #wake = new AbortController();

  constructor(context: Context, clock: Clock) {
    const { config, instance, log, secret } = context;
    this.#context = context;
    this.#config = config;
    this.#clock = clock;
    this.#after = context.position?.after;
    const name = `flowctl ${instance.pipeline}/${instance.componentId}-${instance.index}`;
    this.#connection = new PostgresConnection({
      config,
      name,
      secret,
      log,
      onConnect: (client) => this.#listen(client),
    });
  }

  /** Connects, and looks at what is to be read. */
  async prepare(): Promise<void> {
    await this.#attempt(async (client) => {
      if (this.#config.mode === "cursor") await refuseStandby(client);
      this.#rows = await OrderedRows.open(client, this.#config);
      // What the database refuses now is refused before the source is ready.
      await this.#rows.page(client, this.#after, undefined, 0);
    });
  }

  async run(emit: SourceEmit<PostgresPosition>): Promise<void> {
    const { signal, degraded, log } = this.#context;
    while (!signal.aborted) {
      try {
        if (this.#config.mode === "snapshot") return await this.#readTo(undefined, emit);
        await this.#readNew(emit);
        this.#wentWell();
        await this.#untilNext();
      } catch (error) {
        if (signal.aborted) return;
        if (!(error instanceof FlowctlError) || error.kind !== "unavailable") throw error;
        log.warn("the database is away: trying again", { reason: error.message, delayMs: this.#delay });
        degraded(error.message);
        await this.#clock.sleep(this.#delay, signal).catch(() => undefined);
        this.#delay = Math.min(2 * this.#delay, LAST_DELAY);
      }
    }
  }

  async close(): Promise<void> {
    await this.#connection.close();
  }

  /** Every row that is not read yet, up to one with `last` in the first column of the order. */
  async #readTo(last: string | undefined, emit: SourceEmit<PostgresPosition>): Promise<void> {
    const { type, batch, table } = this.#config;
    const { signal } = this.#context;
    const metadata = { operation: "read", ...(table === undefined ? {} : { table }) };
    while (!signal.aborted) {
      const page = await this.#attempt((client) => this.#rows!.page(client, this.#after, last, batch));
      this.#wentWell();
      for (const { json, place } of page) {
        await emit({ type, payload: json, contentType: "application/json", metadata }, { after: place });
        this.#after = place;
      }
      if (page.length < batch) return;
    }
  }

  /**
   * Rows up to the largest value that is to be seen now, once everybody who may have taken a smaller one is done: a row that is
   * committed later comes after.
   */
  async #readNew(emit: SourceEmit<PostgresPosition>): Promise<void> {
    const last = await this.#attempt((client) => this.#rows!.last(client));
    if (last === undefined) return;
    const next = await this.#attempt((client) => this.#rows!.page(client, this.#after, last, 1));
    if (next.length === 0) return;
    await this.#untilDone();
    await this.#readTo(last, emit);
  }

  async #untilDone(): Promise<void> {
    const { signal, degraded } = this.#context;
    const started = this.#clock.elapsed();
    let open = await this.#attempt(openTransactions);
    while (!isEmpty(open)) {
      await this.#clock.sleep(LOOK_AGAIN, signal);
      const before = open;
      open = await this.#attempt((client) => stillOpen(client, before));
      if (this.#clock.elapsed() - started < LONG) continue;
      const { sessions, prepared } = open;
      degraded(
        `new rows are held back by ${sessions.length + prepared.length} transactions of the database that are open for longer than ${LONG / 1000} s`,
      );
    }
  }

  #wentWell(): void {
    this.#delay = FIRST_DELAY;
    this.#context.degraded("");
  }

  async #untilNext(): Promise<void> {
    const wake = this.#wake.signal;
    const either = linkedSignal(wake, this.#context.signal);
    await this.#clock.sleep(durationMs(this.#config.interval), either.signal).catch(() => undefined);
    either.release();
    if (wake.aborted) this.#wake = new AbortController();
  }

  async #listen(client: Client): Promise<void> {
    await client.query(SESSION);
    const { notify } = this.#config;
    if (notify === undefined) return;
    client.on("notification", () => this.#wake.abort());
    await client.query(`LISTEN ${quoted(notify)}`);
  }

  async #attempt<T>(what: (client: Client) => Promise<T>): Promise<T> {
    const client = await this.#connection.client();
    try {
      return await what(client);
    } catch (error) {
      if (error instanceof FlowctlError) throw error;
      await this.#connection.reset();
      throw postgresFailure(error, `read ${this.#config.table ?? "the query"}`);
    }
  }
}
