import { createServer, type IncomingMessage, type ServerResponse } from "node:http";
import type { AddressInfo } from "node:net";
import { describe, expect, it } from "vitest";
import { systemClock } from "../../foundation/clock.ts";
import {
  type Emitted,
  payloadJson,
  payloadText,
  runSource,
  type SourceOptions,
  temporaryDirectory,
} from "../component-harness.fake.ts";
import { type HttpPollConfig, httpPollPartitions } from "./http-poll.spec.ts";
import { createHttpPoll } from "./http-poll.ts";

const source = createHttpPoll(systemClock);

type Respond = (response: ServerResponse, request: IncomingMessage, body: string) => void;

/** A server that gives its answers one after the other, the last one again and again. */
class Server implements AsyncDisposable {
  readonly requests: { readonly request: IncomingMessage; readonly body: string }[] = [];
  readonly #server = createServer((request, response) => {
    const pieces: Buffer[] = [];
    request.on("data", (piece: Buffer) => pieces.push(piece));
    request.on("end", () => {
      const body = Buffer.concat(pieces).toString();
      this.requests.push({ request, body });
      this.answers[Math.min(this.requests.length, this.answers.length) - 1]?.(response, request, body);
    });
  });
  constructor(readonly answers: readonly Respond[]) {}

  async start(): Promise<this> {
    await new Promise<void>((resolve) => this.#server.listen(0, "127.0.0.1", resolve));
    return this;
  }

  get url(): string {
    return `http://127.0.0.1:${(this.#server.address() as AddressInfo).port}/feed`;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#server.closeAllConnections();
    await new Promise((resolve) => this.#server.close(resolve));
  }
}

const json =
  (value: unknown, headers: Record<string, string> = {}): Respond =>
  (response) => {
    response.writeHead(200, { "content-type": "application/json", ...headers }).end(JSON.stringify(value));
  };

const status =
  (code: number, headers: Record<string, string> = {}): Respond =>
  (response) => {
    response.writeHead(code, headers).end("no");
  };

async function polled(
  answers: readonly Respond[],
  config: Record<string, unknown>,
  options: Partial<SourceOptions> = {},
): Promise<{ emitted: Emitted[]; requests: Server["requests"] }> {
  await using directory = await temporaryDirectory();
  await using server = await new Server(answers).start();
  const emitted = await runSource(source, {
    stateDirectory: directory.path,
    // As if it had one address always.
    partition: { id: "", identity: "feed" },
    ...options,
    config: { url: server.url, interval: "1ms", count: answers.length, ...config },
  });
  return { emitted, requests: server.requests };
}

function values({ emitted }: { readonly emitted: readonly Emitted[] }): unknown[] {
  return emitted.map(({ event }) => payloadJson(event));
}

describe("http-poll", () => {
  it("emits the items of each answer", async () => {
    expect(values(await polled([json([1, 2]), json([3])], {}))).toEqual([1, 2, 3]);
    expect(values(await polled([json({ data: { rows: [{ a: 1 }, null] } })], { items: "data.rows" }))).toEqual([
      { a: 1 },
      null,
    ]);
    expect(values(await polled([json({ a: 1 })], {}))).toEqual([{ a: 1 }]);
  });

  it("emits an answer that is not JSON as it is", async () => {
    const text: Respond = (response) =>
      response.writeHead(200, { "content-type": "text/csv; charset=utf-8" }).end("a,b");
    const { emitted } = await polled([text], { type: "table" });
    expect(emitted[0]?.event).toMatchObject({ type: "table", contentType: "text/csv" });
    expect(payloadText(emitted[0]!.event)).toBe("a,b");
  });

  it("emits an answer once while it stays the same", async () => {
    expect(values(await polled([json([1]), json([1]), json([1, 2]), json([1])], {}))).toEqual([1, 1, 2, 1]);
  });

  it("asks for what is new only, when the server can tell", async () => {
    const { emitted, requests } = await polled([json([1], { etag: '"v1"' }), status(304), json([2])], {});
    expect(emitted.map(({ event }) => payloadJson(event))).toEqual([1, 2]);
    expect(requests.map(({ request }) => request.headers["if-none-match"])).toEqual([undefined, '"v1"', '"v1"']);
  });

  it("with id, emits each item once, under an id of its own", async () => {
    const answers = [json([{ k: "a" }, { k: "b" }]), json([{ k: "b" }, { k: "c" }]), json([{ k: "a" }])];
    const { emitted } = await polled(answers, { id: "k" });
    expect(emitted.map(({ event }) => event.id)).toEqual(["part/a", "part/b", "part/c"]);
  });

  it("with id, remembers over a restart what was acknowledged, and nothing else", async () => {
    await using directory = await temporaryDirectory();
    const answer = json([{ k: "a" }, { k: "b" }, { k: "c" }]);
    const first = await polled(
      [answer],
      { id: "k" },
      {
        stateDirectory: directory.path,
        onEmit: async ({ event, position }, handlers) => {
          if (event.id === "part/b") await handlers.committed?.(position);
        },
      },
    );
    expect(first.emitted).toHaveLength(3);
    // As after a kill: what is checkpointed is the position of b.
    const again = await polled(
      [answer, json([{ k: "b" }, { k: "d" }])],
      { id: "k", count: 3 },
      {
        stateDirectory: directory.path,
        position: first.emitted[1]?.position,
      },
    );
    expect(again.emitted.map(({ event }) => event.id)).toEqual(["part/c", "part/d"]);
  });

  it("resumed inside an answer that is still the same, emits the rest under the same ids", async () => {
    const answer = json([1, 2, 3]);
    const whole = await polled([answer], {});
    const rest = await polled([answer], { count: 2 }, { position: whole.emitted[0]?.position });
    expect(values(rest)).toEqual([2, 3]);
    expect(rest.emitted.map(({ event }) => event.id)).toEqual(whole.emitted.slice(1).map(({ event }) => event.id));
  });

  it("gives the rest of the last answer after a crash in the middle of it", async () => {
    const answer = json([1, 2, 3]);
    const whole = await polled([answer], { count: 1 });
    const rest = await polled([answer], { count: 1 }, { position: whole.emitted[0]?.position });
    expect(values(rest)).toEqual([2, 3]);
    expect(rest.emitted.map(({ event }) => event.id)).toEqual(whole.emitted.slice(1).map(({ event }) => event.id));
    const nothing = await polled([answer], { count: 1 }, { position: whole.emitted[2]?.position });
    expect(nothing.requests).toHaveLength(0);
  });

  it("gives the items of another answer other ids, also when it comes in the place of one", async () => {
    const ids: (string | undefined)[] = [];
    for (const answers of [[json([1, 2]), json([1, 3]), json([1, 2])], [json([7, 8])]]) {
      ids.push(...(await polled(answers, {})).emitted.map(({ event }) => event.id));
    }
    expect(new Set(ids).size).toBe(8);
  });

  it("sends method, body, headers and secret headers, and follows no redirect with secrets", async () => {
    const config = {
      method: "POST",
      body: "query",
      headers: { "X-Plain": "p" },
      header_secrets: { Authorization: "token" },
    };
    const secrets = { token: "Bearer s\n" };
    const { requests } = await polled([json([])], config, { secrets });
    expect(requests[0]?.request).toMatchObject({
      method: "POST",
      headers: { "x-plain": "p", authorization: "Bearer s" },
    });
    expect(requests[0]?.body).toBe("query");
    const redirect = status(302, { location: "http://127.0.0.1:9/" });
    await expect(polled([redirect], { ...config, retries: 0 }, { secrets })).rejects.toMatchObject({
      code: "components/http-failed",
    });
    await expect(polled([json([])], config)).rejects.toMatchObject({ code: "sdk/secret-missing" });
  });

  it("says which secret cannot be a header, and nothing of its value", async () => {
    const config = { header_secrets: { Authorization: "token" }, retries: 0 };
    for (const token of ["Bearer one\ntwo-planted", "Bearer \u2026-planted"]) {
      const error = await polled([json([])], config, { secrets: { token } }).catch((reason: unknown) => reason);
      expect(error).toMatchObject({ code: "components/not-a-header", message: expect.stringContaining("token") });
      expect(String(error)).not.toContain("planted");
    }
  });

  it("shows of a header that fetch refuses nothing of its value", async () => {
    const config = { headers: { "X-Key": "one\ntwo-planted" }, retries: 0 };
    const error = await polled([json([])], config).catch((reason: unknown) => reason);
    expect(error).toMatchObject({ code: "components/http-failed", message: expect.stringContaining('"***"') });
    expect(String(error)).not.toContain("planted");
  });

  it("tries a failed request again, degraded meanwhile", async () => {
    const reasons: string[] = [];
    const broken: Respond = (response) => response.destroy();
    const answers = [status(503), broken, status(429), json([1])];
    const result = await polled(answers, { count: 1 }, { degraded: (reason) => void reasons.push(reason) });
    expect(values(result)).toEqual([1]);
    expect(reasons).toEqual(["status 503 Service Unavailable", expect.any(String), "status 429 Too Many Requests", ""]);
  }, 20_000);

  it.each([
    [[status(503)], { retries: 1 }, "components/http-failed"],
    [[() => undefined], { retries: 0, timeout: "50ms" }, "components/http-failed"],
    [[status(404)], {}, "components/http-refused"],
    [[status(401)], {}, "components/http-refused"],
    [[json({ rows: 1 })], { items: "rows" }, "components/bad-answer"],
    [[json([{ a: 1 }])], { id: "k" }, "components/bad-answer"],
    [[json(["x".repeat(100)])], { max_bytes: 50 }, "components/answer-too-large"],
  ] as [Respond[], Record<string, unknown>, string][])(
    "ends with a clear error: case %#",
    async (answers, config, code) => {
      await expect(polled(answers, config)).rejects.toMatchObject({ code });
    },
  );

  it("says nothing of what stands behind the path of the address, which can be secret", async () => {
    await using server = await new Server([status(404)]).start();
    await using directory = await temporaryDirectory();
    const config = { url: `${server.url}?key=s3cret` };
    await expect(runSource(source, { config, stateDirectory: directory.path })).rejects.toMatchObject({
      message: expect.not.stringContaining("s3cret"),
    });
  });

  it("stops at once, while it waits and while it asks", async () => {
    for (const answers of [[json([1])], [() => undefined]] as Respond[][]) {
      await using server = await new Server(answers).start();
      const stop = new AbortController();
      const running = runSource(source, { config: { url: server.url, interval: "1h" }, signal: stop.signal });
      await expect.poll(() => server.requests.length).toBe(1);
      stop.abort();
      await running;
    }
  });

  it("keeps positions by what is asked, and shows nothing of it that may be secret", () => {
    const identity = (config: Partial<HttpPollConfig>): string =>
      httpPollPartitions({
        url: "https://me:s3cret@h.example/feed?key=s3cret",
        method: "GET",
        body: undefined,
        ...config,
      })[0]!.identity;
    const others = [
      { url: "https://h.example/feed" },
      { url: "https://h.example/feed?key=b" },
      { body: "{}" },
    ] as const;
    expect(new Set([identity({}), ...others.map(identity)]).size).toBe(4);
    expect(identity({})).toMatch(/^GET https:\/\/h\.example\/feed \S+$/);
    expect(identity({})).not.toContain("s3cret");
  });

  it("remembers the ids of another address apart", async () => {
    await using directory = await temporaryDirectory();
    const options = { stateDirectory: directory.path };
    const committing: Partial<SourceOptions> = {
      ...options,
      onEmit: async ({ position }, handlers) => await handlers.committed?.(position),
    };
    expect(values(await polled([json([{ id: 1 }])], { id: "id" }, committing))).toHaveLength(1);
    expect(values(await polled([json([{ id: 1 }])], { id: "id" }, options))).toHaveLength(0);
    const elsewhere = { ...options, partition: { id: "", identity: "elsewhere" } };
    expect(values(await polled([json([{ id: 1 }])], { id: "id" }, elsewhere))).toHaveLength(1);
  });
});
