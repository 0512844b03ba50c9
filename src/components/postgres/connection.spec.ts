import * as z from "zod";
import type { SettingProblem } from "../../pipeline/catalog.ts";
import { durationSchema } from "../duration.ts";

/** The settings of everything that connects to PostgreSQL. */
export const connectionSettings = {
  url: z
    .string()
    .min(1)
    .optional()
    .describe("Connection URL without a password: `postgres://user@host:5432/database`. Either this or `url_secret`."),
  url_secret: z
    .string()
    .min(1)
    .optional()
    .describe("Name of a secret that holds the whole connection URL, with the password if there is one."),
  password_secret: z.string().min(1).optional().describe("With `url`: name of a secret that holds the password."),
  tls: z
    .enum(["off", "verify", "unverified"])
    .optional()
    .describe(
      "`verify`: TLS, with the server's certificate and host name checked. `unverified`: TLS with any certificate. `off`: no TLS. " +
        "Default: `off` for this machine and for hosts whose name has no dot, such as services of the pipeline; `verify` for all others.",
    ),
  ca: z
    .string()
    .min(1)
    .optional()
    .describe(
      "Path of a PEM file with the certificates that the server's must be signed by. Default: those of Node.js.",
    ),
  timeout: durationSchema.default("30s").describe("Timeout of connecting, and of a statement."),
} as const;

const settings = z.object(connectionSettings);

export type ConnectionConfig = z.output<typeof settings>;

const PROTOCOLS = ["postgres:", "postgresql:"];

/** The URL of a database, with a host and a database; undefined where the text is none. */
export function databaseUrl(text: string): URL | undefined {
  if (!URL.canParse(text)) return undefined;
  const url = new URL(text);
  return PROTOCOLS.includes(url.protocol) && url.hostname !== "" && url.pathname.length > 1 ? url : undefined;
}

/** What no schema can say of the settings of a connection: one problem a wrong value. */
export function checkConnection({ url, url_secret, password_secret, tls, ca }: ConnectionConfig): SettingProblem[] {
  const problems: SettingProblem[] = [];
  if ((url === undefined) === (url_secret === undefined)) {
    const isBoth = url !== undefined;
    problems.push({
      path: isBoth ? ["url_secret"] : [],
      message: isBoth ? "url and url_secret cannot be used together" : "url or url_secret is missing",
      fix: isBoth ? "remove one of the two" : "add `url: postgres://user@host:5432/database`",
    });
  }
  if (url !== undefined) problems.push(...checkUrl(url));
  if (password_secret !== undefined && url === undefined) {
    problems.push({
      path: ["password_secret"],
      message: "password_secret is for a `url`",
      fix: "put the password into the secret that holds the URL",
    });
  }
  if (ca !== undefined && tls !== undefined && tls !== "verify") {
    problems.push({ path: ["ca"], message: "ca requires tls: verify", fix: "set tls: verify, or remove ca" });
  }
  return problems;
}

function checkUrl(text: string): SettingProblem[] {
  const path = ["url"];
  const url = databaseUrl(text);
  const fix = "write it as `postgres://user@host:5432/database`";
  if (url === undefined) return [{ path, message: "this is not the URL of a PostgreSQL database", fix }];
  if (url.password !== "") {
    return [
      {
        path,
        message: "the URL contains a password, which everybody who reads the pipeline file would know",
        fix: "take it out, and name the secret that holds it with `password_secret`",
      },
    ];
  }
  const parameters = [...url.searchParams.keys()];
  if (parameters.length === 0) return [];
  return [
    {
      path,
      message: `the URL has parameters that are not used: ${parameters.join(", ")}`,
      fix: "take them out; TLS is set by `tls` and `ca`",
    },
  ];
}

/** Names of the secrets that a connection needs. */
export function connectionSecrets({ url_secret, password_secret }: ConnectionConfig): readonly string[] {
  return [url_secret, password_secret].filter((name) => name !== undefined);
}
