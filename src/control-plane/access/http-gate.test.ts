import { request } from "node:http";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { httpTokenOf } from "../../identity/http-token.ts";
import { testAuthority, testIdentity } from "../../identity/identity.fake.ts";
import type { PipelineRecord } from "../../protocol/records.ts";
import { type HttpServer, startHttpServer } from "../http-server.ts";
import { createMetrics } from "../metrics.ts";
import { AccessWorld, peerWith } from "./access.fake.ts";
import { HttpGate } from "./http-gate.ts";
import { CODE_LIFE_MS } from "./sessions.ts";

const record: PipelineRecord = {
  ...{ id: "p", name: "p", state: "running", reason: "", driver: "process", startedAt: 0 },
  ...{ components: [], topology: {} },
};

let world: AccessWorld;
let server: HttpServer;
let other: HttpServer | undefined;

beforeEach(async () => {
  world = await AccessWorld.create();
  server = await start();
});

afterEach(async () => {
  await Promise.all([server.close(), other?.close()]);
  other = undefined;
});

const start = (protectMetrics = false): Promise<HttpServer> =>
  startHttpServer("127.0.0.1:0", {
    ...{ metrics: createMetrics(() => record), pipeline: () => record, events: () => [], ready: () => true },
    ...{ gate: world.gate, protectMetrics },
  });

interface Answer {
  readonly status: number | undefined;
  readonly headers: Readonly<Record<string, string | string[] | undefined>>;
  readonly text: string;
}

/** With exactly these headers: what is built in sends others, and does not let one choose `Host`. */
function ask(
  path: string,
  headers: Readonly<Record<string, string>> = {},
  { method = "GET", at = server }: { readonly method?: string; readonly at?: HttpServer } = {},
): Promise<Answer> {
  const [host, port] = at.address.split(":");
  return new Promise((resolve, reject) => {
    const sent = request({ host, port, path, method, headers, agent: false }, (response) => {
      let text = "";
      response.setEncoding("utf8");
      response.on("data", (chunk) => {
        text += chunk;
      });
      response.on("end", () => resolve({ status: response.statusCode, headers: response.headers, text }));
    });
    sent.on("error", reject);
    sent.end();
  });
}

const status = async (...args: Parameters<typeof ask>): Promise<number | undefined> => (await ask(...args)).status;
const bearer = (token: string) => ({ authorization: `Bearer ${token}` });
const ownersToken = (): string => httpTokenOf(world.owner ?? expect.fail("there is no owner"));
const newCode = (): string => world.sessions.open(peerWith(world.owner ?? expect.fail("there is no owner")).serial);
const portOf = ({ address }: HttpServer): string => address.split(":")[1] ?? "";

/** The cookie that a browser sends after it has opened a one-time URL. */
async function logIn(): Promise<string> {
  const { headers } = await ask(`/login/${newCode()}`);
  const [cookie = ""] = headers["set-cookie"] ?? [];
  return cookie.split(";")[0] ?? "";
}

const PATHS = ["/", "/api/pipeline", "/api/events?after=0", "/nothing", "//", "/login", "/metrics/", "/health/x"];

describe("over HTTP", () => {
  it.each(PATHS)("nobody reads %s without a token", async (path) => {
    for (const headers of [
      {},
      bearer(""),
      bearer("x"),
      bearer(`${ownersToken()}x`),
      bearer(ownersToken().slice(0, -1)),
      bearer(ownersToken().toLowerCase()),
      { authorization: ownersToken() },
      { authorization: `Basic ${Buffer.from(`x:${ownersToken()}`).toString("base64")}` },
      { cookie: `flowctl_${portOf(server)}=${ownersToken()}` },
      { cookie: `flowctl_${portOf(server)}=` },
    ]) {
      const { status, headers: answered, text } = await ask(path, headers);
      expect([headers, status]).toEqual([headers, 401]);
      expect(answered["www-authenticate"]).toMatch(/^Bearer/);
      expect(text).toContain("flowctl access url");
    }
  });

  it.each(["/health", "/ready", "/metrics"])("everybody reads %s", async (path) => {
    expect(await status(path)).toBe(200);
    expect(await status(path, bearer("wrong"))).toBe(200);
  });

  it("nobody reads metrics without a token where they are protected", async () => {
    other = await start(true);
    const at = { at: other };
    expect(await status("/metrics", {}, at)).toBe(401);
    expect(await status("/metrics", bearer(ownersToken()), at)).toBe(200);
    expect([await status("/health", {}, at), await status("/ready", {}, at)]).toEqual([200, 200]);
  });

  it("whoever has access reads everything with their token, until it is revoked", async () => {
    const anna = httpTokenOf(world.identityOf(await world.access.grant("anna", "reader", undefined)));
    for (const token of [ownersToken(), anna]) {
      expect(await status("/", bearer(token))).toBe(200);
      expect(await status("/api/pipeline", bearer(token))).toBe(200);
      expect(await status("/nothing", bearer(token))).toBe(404);
    }
    await world.access.revoke("anna", undefined);
    expect(await status("/api/pipeline", bearer(anna))).toBe(401);
    const former = ownersToken();
    await world.access.rotateOwner(undefined);
    expect(await status("/api/pipeline", bearer(former))).toBe(401);
    expect(await status("/api/pipeline", bearer(ownersToken()))).toBe(200);
  });

  it("the token of another pipeline opens nothing", async () => {
    const foreign = await testIdentity(await testAuthority("q"), { role: "operator", pipeline: "q" });
    expect(await status("/api/pipeline", bearer(httpTokenOf(foreign)))).toBe(401);
  });

  it("nothing in an address is taken for a token", async () => {
    for (const name of ["token", "access_token", "authorization", "bearer", "code"])
      expect(await status(`/api/pipeline?${name}=${ownersToken()}`)).toBe(401);
    expect(await status(`/api/pipeline?code=${newCode()}`)).toBe(401);
  });

  it("nothing is written, whoever asks", async () => {
    const cookie = await logIn();
    for (const method of ["POST", "PUT", "DELETE", "OPTIONS", "PATCH"]) {
      for (const headers of [{ cookie }, bearer(ownersToken())])
        expect(await status("/api/pipeline", headers, { method })).toBe(405);
      const code = newCode();
      expect(await status(`/login/${code}`, {}, { method })).toBe(405);
      expect(await status(`/login/${code}`)).toBe(303);
    }
  });

  it("a page of a stranger whose name resolves to this machine reads nothing, whatever its browser sends", async () => {
    const cookie = await logIn();
    const host = `evil.example:${portOf(server)}`;
    expect(await status("/api/pipeline", { cookie })).toBe(200);
    expect(await status("/api/pipeline", { cookie, host })).toBe(421);
    expect(await status("/api/pipeline", { ...bearer(ownersToken()), host })).toBe(421);
    const code = newCode();
    expect(await status(`/login/${code}`, { host })).toBe(421);
    expect(await status(`/login/${code}`)).toBe(303);
  });
});

describe("a one-time URL", () => {
  it("gives a cookie that scripts and other sites do not get, and leads to an address without the secret", async () => {
    const { status: answered, headers, text } = await ask(`/login/${newCode()}`);
    expect([answered, headers.location, text]).toEqual([303, "/", ""]);
    expect(headers["cache-control"]).toBe("no-store");
    expect(headers["referrer-policy"]).toBe("no-referrer");
    const [cookie = "", ...more] = headers["set-cookie"] ?? [];
    expect(more).toEqual([]);
    const [pair = "", ...attributes] = cookie.split("; ");
    expect(pair).toMatch(new RegExp(`^flowctl_${portOf(server)}=[\\w-]{43}$`));
    expect(attributes).toEqual(["HttpOnly", "SameSite=Strict", "Path=/", "Max-Age=28800"]);
    expect(await status("/", { cookie: `a=b; ${pair}; c=d` })).toBe(200);
  });

  it("opens once", async () => {
    const code = newCode();
    expect(await status(`/login/${code}`)).toBe(303);
    const again = await ask(`/login/${code}`);
    expect([again.status, again.headers["set-cookie"]]).toEqual([401, undefined]);
    expect(again.text).toContain("flowctl access url");
  });

  it("opens nothing once it has expired", async () => {
    const code = newCode();
    await world.clock.advance(CODE_LIFE_MS);
    expect(await status(`/login/${code}`)).toBe(401);
  });

  it("is not used up by whoever fetches or shows it before somebody opens it, or logs in through a page elsewhere", async () => {
    const code = newCode();
    for (const headers of [
      { "sec-purpose": "prefetch" },
      { "sec-purpose": "prefetch;prerender" },
      { purpose: "prefetch" },
      { "x-moz": "prefetch" },
      { "x-purpose": "preview" },
      { "sec-fetch-site": "cross-site", "sec-fetch-mode": "navigate", "sec-fetch-dest": "document" },
      { "sec-fetch-site": "same-site", "sec-fetch-mode": "navigate", "sec-fetch-dest": "document" },
      { "sec-fetch-site": "none", "sec-fetch-mode": "no-cors", "sec-fetch-dest": "image" },
      { "sec-fetch-site": "same-origin", "sec-fetch-mode": "navigate", "sec-fetch-dest": "iframe" },
      { origin: "http://127.0.0.1:1" },
    ]) {
      const refused = await ask(`/login/${code}`, headers);
      expect([headers, refused.status, refused.headers["set-cookie"]]).toEqual([headers, 403, undefined]);
    }
    expect(await status(`/login/${code}`, {}, { method: "HEAD" })).toBe(405);
    const byHand = { "sec-fetch-site": "none", "sec-fetch-mode": "navigate", "sec-fetch-dest": "document" };
    expect(await status(`/login/${code}`, byHand)).toBe(303);
  });
});

describe("a cookie", () => {
  it("is one of a few that are looked at, however many a stranger sends", () => {
    const looked: string[] = [];
    const sessions = { redeem: () => undefined, isOpen: (session: string) => looked.push(session) === 0 };
    const gate = new HttpGate({ isToken: () => false }, sessions);
    const cookie = Array.from({ length: 1_000 }, (_, n) => `flowctl_80=${n}`).join("; ");
    expect(gate.admits({ headers: { host: "localhost", cookie }, localPort: 80 })).toBe(false);
    expect(looked.length).toBeLessThanOrEqual(16);
  });

  it("of another port is that of another control plane", async () => {
    other = await start();
    const cookie = await logIn();
    const value = cookie.split("=")[1];
    expect(await status("/api/pipeline", { cookie }, { at: other })).toBe(401);
    // The same sessions, under the name that the other one looks for.
    expect(await status("/api/pipeline", { cookie: `flowctl_${portOf(other)}=${value}` }, { at: other })).toBe(401);
    expect(await status("/api/pipeline", { cookie: `flowctl_${portOf(other)}=${value}` })).toBe(401);
  });

  it("is named after the port that the browser knows", async () => {
    const host = "localhost:7777";
    const { headers } = await ask(`/login/${newCode()}`, { host });
    const [cookie = ""] = headers["set-cookie"] ?? [];
    expect(cookie).toMatch(/^flowctl_7777=/);
    const [pair = ""] = cookie.split(";");
    expect([await status("/", { host, cookie: pair }), await status("/", { cookie: pair })]).toEqual([200, 401]);
  });

  it("that somebody else has put beside it takes nothing away", async () => {
    const cookie = await logIn();
    expect(await status("/", { cookie: `flowctl_${portOf(server)}=x; ${cookie}; flowctl_${portOf(server)}=y` })).toBe(
      200,
    );
  });

  it("does not help a request with a wrong token", async () => {
    expect(await status("/", { cookie: await logIn(), ...bearer("wrong") })).toBe(401);
  });

  it("ends with the access of whoever asked for it", async () => {
    const cookie = await logIn();
    expect(await status("/", { cookie })).toBe(200);
    await world.access.rotateOwner(undefined);
    expect(await status("/", { cookie })).toBe(401);
  });
});
