import { backoffDelay } from "../../../foundation/backoff.ts";
import type { Clock } from "../../../foundation/clock.ts";
import { withDeadline } from "../../../foundation/deadline.ts";
import { FlowctlError, messageOf } from "../../../foundation/errors.ts";

/** A request, and what a failed one means. */
export interface AskOptions {
  readonly url: string;
  readonly method: "GET" | "POST";
  readonly headers: Readonly<Record<string, string>>;
  readonly body: string | undefined;
  /** False: a redirect is an error, so that secret headers go nowhere else. */
  readonly followRedirects: boolean;
  readonly timeoutMs: number;
  readonly retries: number;
  readonly maxBytes: number;
  readonly clock: Clock;
  /** Told why an attempt failed, before the next one. */
  readonly onRetry: (reason: string) => void;
}

/** What tells the server which answer is known already. */
export interface Validators {
  readonly etag?: string;
  readonly lastModified?: string;
}

export type Answer =
  | { readonly kind: "unchanged" }
  | { readonly kind: "content"; readonly body: Buffer; readonly contentType: string; readonly validators: Validators };

const backoff = { initialMs: 500, maxMs: 30_000 };

/**
 * Asks until there is an answer, with growing pauses, at most `retries` times more than once. Rejects with
 * `components/http-failed` (no usable answer), `components/http-refused` (an answer that trying again will not change),
 * `components/answer-too-large`, or with what the signal says.
 */
export async function ask(options: AskOptions, known: Validators, signal: AbortSignal): Promise<Answer> {
  for (let attempt = 1; ; attempt++) {
    const outcome = await askOnce(options, known, signal);
    if (outcome.kind !== "failed") return outcome;
    if (attempt > options.retries) {
      throw new FlowctlError({
        code: "components/http-failed",
        kind: "unavailable",
        message: `${options.method} ${shown(options.url)} failed ${attempt} times: ${outcome.reason}`,
      });
    }
    options.onRetry(outcome.reason);
    await options.clock.sleep(Math.max(outcome.afterMs, backoffDelay(attempt, backoff)), signal);
  }
}

interface Failed {
  readonly kind: "failed";
  readonly reason: string;
  /** As the server asked for; 0 when it did not. */
  readonly afterMs: number;
}

async function askOnce(options: AskOptions, known: Validators, signal: AbortSignal): Promise<Answer | Failed> {
  const deadline = withDeadline(signal, options.timeoutMs);
  try {
    const response = await fetch(options.url, {
      method: options.method,
      headers: { accept: "application/json, */*;q=0.5", ...options.headers, ...conditions(known) },
      redirect: options.followRedirects ? "follow" : "error",
      signal: deadline,
      ...(options.body === undefined ? {} : { body: options.body }),
    });
    return await read(response, options);
  } catch (error) {
    if (error instanceof FlowctlError) throw error;
    signal.throwIfAborted();
    if (deadline.aborted) return { kind: "failed", reason: `no response within ${options.timeoutMs} ms`, afterMs: 0 };
    return { kind: "failed", reason: reasonOf(error, options), afterMs: 0 };
  }
}

async function read(response: Response, options: AskOptions): Promise<Answer | Failed> {
  const { status } = response;
  if (status === 304) return { kind: "unchanged" };
  if (response.ok) {
    return {
      kind: "content",
      body: await bodyOf(response, options),
      contentType: response.headers.get("content-type") ?? "",
      validators: validatorsOf(response.headers),
    };
  }
  await response.body?.cancel();
  const reason = `status ${status} ${response.statusText}`.trim();
  if (status === 408 || status === 429 || status >= 500) {
    return { kind: "failed", reason, afterMs: retryAfterMs(response.headers) };
  }
  throw new FlowctlError({
    code: "components/http-refused",
    kind: status === 401 || status === 403 ? "denied" : "invalid",
    message: `${options.method} ${shown(options.url)}: ${reason}`,
    fix: status === 401 || status === 403 ? "check headers and header_secrets" : "check url, method and headers",
  });
}

async function bodyOf(response: Response, options: AskOptions): Promise<Buffer> {
  const pieces: Uint8Array[] = [];
  let size = 0;
  for await (const piece of response.body ?? []) {
    size += piece.length;
    if (size > options.maxBytes) {
      throw new FlowctlError({
        code: "components/answer-too-large",
        kind: "invalid",
        message: `the response of ${shown(options.url)} exceeds ${options.maxBytes} bytes`,
        fix: "request less data, or raise max_bytes",
      });
    }
    pieces.push(piece);
  }
  return Buffer.concat(pieces);
}

function conditions(known: Validators): Record<string, string> {
  if (known.etag !== undefined) return { "if-none-match": known.etag };
  return known.lastModified === undefined ? {} : { "if-modified-since": known.lastModified };
}

function validatorsOf(headers: Headers): Validators {
  const etag = headers.get("etag");
  const lastModified = headers.get("last-modified");
  return { ...(etag === null ? {} : { etag }), ...(lastModified === null ? {} : { lastModified }) };
}

/** Of the two forms of Retry-After only seconds are honoured; at most ten minutes. */
function retryAfterMs(headers: Headers): number {
  const seconds = Number(headers.get("retry-after") ?? "0");
  return Number.isFinite(seconds) && seconds > 0 ? Math.min(seconds, 600) * 1_000 : 0;
}

/** The URL without what may be secret in it. */
function shown(url: string): string {
  const { origin, pathname } = new URL(url);
  return `${origin}${pathname}`;
}

/**
 * fetch says "fetch failed" and keeps the reason in the cause. Of a URL or a header that it does not take it quotes all: what may be
 * secret there is left out.
 */
function reasonOf(error: unknown, { url, headers }: AskOptions): string {
  const reason = error instanceof Error && error.cause !== undefined ? messageOf(error.cause) : messageOf(error);
  return Object.values(headers).reduce(
    (text, value) => text.replaceAll(`"${value}"`, '"***"'),
    reason.replaceAll(url, shown(url)),
  );
}
