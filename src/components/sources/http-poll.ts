import { createHash } from "node:crypto";
import type { Clock } from "../../foundation/clock.ts";
import { FlowctlError } from "../../foundation/errors.ts";
import type { ComponentDefinition, SourceContext, SourceEmit } from "../../sdk/index.ts";
import { defineSource } from "../../sdk/index.ts";
import { builtInVersion } from "../built-in-version.ts";
import { durationMs } from "../duration.ts";
import { type Answer, type AskOptions, ask, type Validators } from "./http-poll/ask.ts";
import { itemsOf } from "./http-poll/items.ts";
import { type HttpPollConfig, httpPollConfig, httpPollPartitions } from "./http-poll.spec.ts";
import { SeenIds } from "./seen-ids.ts";

/** Where in the answers it is. */
interface HttpPollPosition {
  /** Number of the answer that differed from the one before, from 1. */
  readonly answer: number;
  /** How many answers are done with; one of which items are still to come is not. */
  readonly polls: number;
  /** Digest of that answer, to know it again. */
  readonly digest: string;
  /** How many of its items come before. */
  readonly item: number;
  /** Grows from event to event; names positions to what is remembered beside them. */
  readonly mark: number;
  /** Set at the last item: the whole answer is done, and need not be sent again. */
  readonly validators?: Validators;
}

type Content = Extract<Answer, { kind: "content" }>;

/**
 * Emits the items of each answer that differs from the one before. With `id`, an item's event has the item's id, and
 * each is emitted once within the horizon of `remember`; after a crash an item that was acknowledged in the last moment
 * can come again, with the same id.
 */
export function createHttpPoll(clock: Clock): ComponentDefinition {
  return defineSource<HttpPollConfig, HttpPollPosition>({
    name: "http-poll",
    version: builtInVersion,
    config: httpPollConfig,
    partitions: ({ config }) => httpPollPartitions(config),
    async open(context) {
      const { config, stateDirectory } = context;
      const seen =
        config.id === undefined ? undefined : await SeenIds.open(stateDirectory, nameOfSeen(context), config.remember);
      const poller = new Poller(context, await askOptions(context, clock), seen);
      return {
        run: (emit) => poll(poller, context, clock, emit),
        async committed(position) {
          await seen?.acknowledged(position.mark);
        },
        async close() {
          await seen?.close();
        },
      };
    },
  });
}

async function poll(
  poller: Poller,
  { config, signal }: SourceContext<HttpPollConfig, HttpPollPosition>,
  clock: Clock,
  emit: SourceEmit<HttpPollPosition>,
): Promise<void> {
  const intervalMs = durationMs(config.interval);
  try {
    while (!signal.aborted && (config.count === undefined || poller.polls < config.count)) {
      const started = clock.elapsed();
      await poller.once(emit);
      if (config.count !== undefined && poller.polls >= config.count) return;
      await clock.sleep(Math.max(0, started + intervalMs - clock.elapsed()), signal);
    }
  } catch (error) {
    if (!signal.aborted) throw error;
  }
}

class Poller {
  readonly #context: SourceContext<HttpPollConfig, HttpPollPosition>;
  readonly #ask: AskOptions;
  readonly #seen: SeenIds | undefined;
  #position: HttpPollPosition;

  constructor(
    context: SourceContext<HttpPollConfig, HttpPollPosition>,
    options: AskOptions,
    seen: SeenIds | undefined,
  ) {
    this.#context = context;
    this.#ask = options;
    this.#seen = seen;
    this.#position = context.position ?? { answer: 0, polls: 0, digest: "", item: 0, mark: 0 };
  }

  get polls(): number {
    return this.#position.polls;
  }

  /** One request, and the events of what is new in the answer. */
  async once(emit: SourceEmit<HttpPollPosition>): Promise<void> {
    const { validators, ...before } = this.#position;
    const answer = await ask(this.#ask, validators ?? {}, this.#context.signal);
    this.#context.degraded("");
    if (answer.kind === "unchanged") {
      this.#position = { ...this.#position, polls: before.polls + 1 };
      return;
    }
    const digest = createHash("sha256").update(answer.body).digest("base64url");
    if (digest !== before.digest) {
      this.#position = { ...before, answer: before.answer + 1, digest, item: 0 };
    }
    await this.#emitItems(answer, emit);
  }

  async #emitItems({ body, contentType, validators }: Content, emit: SourceEmit<HttpPollPosition>): Promise<void> {
    const { config, instance, idPrefix, signal } = this.#context;
    const items = itemsOf(body, contentType, { items: config.items, id: config.id });
    const polls = this.#position.polls + 1;
    if (this.#position.item >= items.length) this.#position = { ...this.#position, polls };
    for (let index = this.#position.item; index < items.length; index++) {
      if (signal.aborted) return;
      const { id, content } = items[index]!;
      const done = index === items.length - 1;
      const mark = this.#position.mark + 1;
      const next = { ...this.#position, item: index + 1, mark, ...(done ? { validators, polls } : {}) };
      if (id !== undefined && this.#seen?.has(id)) {
        this.#position = { ...next, mark: mark - 1 };
        continue;
      }
      if (id !== undefined) this.#seen?.emitted(id, mark);
      const eventId = id === undefined ? `${idPrefix}${nameOf(next)}` : `${instance.componentId}/${id}`;
      await emit({ type: config.type, ...content, id: eventId }, next);
      this.#position = next;
    }
  }
}

/** What was seen of another address is another matter. */
function nameOfSeen({ partition }: Pick<SourceContext<HttpPollConfig, HttpPollPosition>, "partition">): string {
  return `seen-${createHash("sha256").update(partition.identity).digest("hex").slice(0, 12)}`;
}

/** The same for the same item of the same answer, whenever it is asked for. */
function nameOf({ answer, digest, item }: HttpPollPosition): string {
  return `${answer}-${digest.slice(0, 8)}-${item}`;
}

/** Visible characters of Latin-1, spaces and tabs. */
const HEADER_VALUE = /^[\t\x20-\x7e\x80-\xff]*$/;

function notAHeader(header: string, name: string): FlowctlError {
  return new FlowctlError({
    code: "components/not-a-header",
    kind: "invalid",
    message: `the secret ${name} cannot be sent as header ${header}: it has a line break, or a character that no header may have`,
    fix: `check the value of the secret ${name}: it has to be one line`,
  });
}

async function askOptions(
  { config, secret, log, degraded }: SourceContext<HttpPollConfig, HttpPollPosition>,
  clock: Clock,
): Promise<AskOptions> {
  const headers: Record<string, string> = { ...config.headers };
  for (const [header, name] of Object.entries(config.header_secrets)) {
    const value = (await secret(name)).trim();
    if (!HEADER_VALUE.test(value)) throw notAHeader(header, name);
    headers[header] = value;
  }
  return {
    url: config.url,
    method: config.method,
    headers,
    body: config.body,
    followRedirects: Object.keys(config.header_secrets).length === 0,
    timeoutMs: durationMs(config.timeout),
    retries: config.retries,
    maxBytes: config.max_bytes,
    clock,
    onRetry(reason) {
      log.warn("the request failed: retrying", { reason });
      degraded(reason);
    },
  };
}
