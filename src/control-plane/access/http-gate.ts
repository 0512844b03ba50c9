import type { IncomingHttpHeaders } from "node:http";
import type { Access } from "./access.ts";
import { SESSION_LIFE_MS, type Sessions } from "./sessions.ts";

/** What of a request says who sends it. */
export interface HttpCaller {
  readonly headers: IncomingHttpHeaders;
  /** That the request came to: for a client that sends no `Host`. */
  readonly localPort: number | undefined;
}

/** How a one-time URL is answered: with the value of a `Set-Cookie`, or with why not. */
export type Login = { readonly cookie: string } | { readonly status: 401 | 403; readonly error: string };

/** So many cookies of one name are looked at, each among all sessions: browsers send one for each path that it was set for. */
const MOST_COOKIES = 16;

/** One-time URLs are this, followed by the code. */
export const LOGIN_PATH = "/login/";

/** Who may read over HTTP: whoever shows a token of somebody who has access, or the cookie of a session. */
export class HttpGate {
  readonly #access: Pick<Access, "isToken">;
  readonly #sessions: Pick<Sessions, "isOpen" | "redeem">;

  constructor(access: Pick<Access, "isToken">, sessions: Pick<Sessions, "isOpen" | "redeem">) {
    this.#access = access;
    this.#sessions = sessions;
  }

  /** A request with an `Authorization` is judged by that alone; nothing in its address is looked at. */
  admits(caller: HttpCaller): boolean {
    const { authorization, cookie } = caller.headers;
    if (authorization !== undefined) {
      const [, token] = /^Bearer +(\S+)$/i.exec(authorization) ?? [];
      return token !== undefined && this.#access.isToken(token);
    }
    const name = cookieName(caller);
    return cookiesOf(cookie, name).some((session) => this.#sessions.isOpen(session, name));
  }

  /**
   * Redeems the code of a one-time URL, for somebody who opens it as a page, and not through a page elsewhere: neither does a page log the browser in
   * as somebody else, nor does whoever fetches links ahead of their being opened use the code up.
   */
  login(code: string, caller: HttpCaller): Login {
    if (!isOpenedByHand(caller.headers))
      return {
        status: 403,
        error: "paste the address into the address bar of the browser: it opens from nowhere else",
      };
    const name = cookieName(caller);
    const session = this.#sessions.redeem(code, name);
    if (session === undefined)
      return { status: 401, error: "this address was used or has expired: `flowctl access url` prints another" };
    const attributes = ["HttpOnly", "SameSite=Strict", "Path=/", `Max-Age=${SESSION_LIFE_MS / 1000}`];
    return { cookie: [`${name}=${session}`, ...attributes].join("; ") };
  }
}

/** With the port that the browser knows: cookies are sent to every port of a host. */
function cookieName({ headers, localPort }: HttpCaller): string {
  const [, port] = /:(\d{1,5})$/.exec(headers.host ?? `:${localPort}`) ?? [];
  return `flowctl_${port ?? 80}`;
}

function cookiesOf(header: string | undefined, name: string): readonly string[] {
  const values = (header ?? "").split(";").flatMap((pair) => {
    const [key, value] = pair.trim().split("=", 2);
    return key === name && value !== undefined ? [value] : [];
  });
  return values.slice(0, MOST_COOKIES);
}

/** Browsers say where a request comes from and what for; other programs do not say the former. */
function isOpenedByHand(headers: IncomingHttpHeaders): boolean {
  const site = headers["sec-fetch-site"];
  if (["origin", "purpose", "sec-purpose", "x-purpose", "x-moz"].some((said) => headers[said] !== undefined))
    return false;
  if (site === undefined) return true;
  const isPage = headers["sec-fetch-mode"] === "navigate" && headers["sec-fetch-dest"] === "document";
  return isPage && (site === "none" || site === "same-origin");
}
