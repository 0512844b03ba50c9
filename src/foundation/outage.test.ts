import { lookup } from "node:dns/promises";
import { once } from "node:events";
import { mkdtemp, rm } from "node:fs/promises";
import { type AddressInfo, connect, createServer } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { Client, credentials } from "@grpc/grpc-js";
import { describe, expect, it } from "vitest";
import { type ErrorKind, FlowctlError } from "./errors.ts";
import { fileFailure } from "./file-failure.ts";
import { isOutage } from "./outage.ts";

/** As Node.js, `pg` and others say what went wrong. */
function coded(code: unknown, cause?: unknown): Error {
  return Object.assign(new Error("said by a library", { cause }), { code });
}

function told(kind: ErrorKind, cause?: unknown): FlowctlError {
  return new FlowctlError({ code: "ledger/refused", kind, message: "the ledger refused", cause });
}

/** What `attempt` rejected with. */
async function rejection(attempt: Promise<unknown>): Promise<unknown> {
  return await attempt.then(
    () => expect.unreachable("nothing is there that could answer"),
    (error: unknown) => error,
  );
}

async function listening(): Promise<{ port: number; close(): void; server: ReturnType<typeof createServer> }> {
  const server = createServer().listen(0, "127.0.0.1");
  await once(server, "listening");
  return { port: (server.address() as AddressInfo).port, close: () => void server.close(), server };
}

async function closedPort(): Promise<number> {
  const { port, server } = await listening();
  server.close();
  await once(server, "close");
  return port;
}

describe("an outage", () => {
  it.each([
    ...["ENOSPC", "EDQUOT", "EFBIG", "EIO", "EROFS", "EMFILE", "ENFILE"],
    ...["ECONNREFUSED", "ECONNRESET", "EPIPE", "ETIMEDOUT", "EHOSTUNREACH", "EHOSTDOWN", "ENETUNREACH", "ENETDOWN"],
    ...["ENOTFOUND", "EAI_AGAIN", "UND_ERR_CONNECT_TIMEOUT", "UND_ERR_SOCKET"],
    // PostgreSQL: connections, resources, shutting down and starting up, a broken disk.
    ...["08000", "08003", "08006", "53100", "53200", "53300", "57P01", "57P02", "57P03", "57P05", "58030"],
  ])("is what %s says, alone or as a cause", (code) => {
    expect(isOutage(coded(code))).toBe(true);
    expect(isOutage(new Error("of an author", { cause: new TypeError("of a library", { cause: coded(code) }) }))).toBe(
      true,
    );
  });

  it.each([
    // PostgreSQL: too few values for a statement, text that is no number, a value too many, a constraint, a statement
    // that took too long, a table that is not there.
    ...["08P01", "22P02", "22001", "23505", "23514", "57014", "42P01"],
    ...["EACCES", "ENOENT", "EISDIR", "ENAMETOOLONG", "ERR_INVALID_URL", "ERR_INVALID_ARG_TYPE"],
    // A number of somebody's own, MongoDB's for a wrong type among them.
    ...[14, 8, 503],
  ])("is not what %s says", (code) => {
    expect(isOutage(coded(code))).toBe(false);
    expect(isOutage(new Error("of an author", { cause: coded(code) }))).toBe(false);
  });

  it("is none where only a text says so, and where there is no error", () => {
    for (const thrown of [new Error("ECONNREFUSED"), "ECONNREFUSED", { code: "ECONNREFUSED" }, undefined, null])
      expect(isOutage(thrown)).toBe(false);
  });

  it("is what a FlowctlError of kind unavailable says by itself", () => {
    expect(isOutage(told("unavailable"))).toBe(true);
    expect(isOutage(new Error("of an author", { cause: told("unavailable") }))).toBe(true);
    for (const kind of ["invalid", "not-found", "conflict", "denied", "failed", "timeout"] as const)
      expect(isOutage(told(kind))).toBe(false);
  });

  it("is none where a FlowctlError of kind invalid says that the content is to blame, whatever its cause", () => {
    expect(isOutage(told("invalid", coded("ENOTFOUND")))).toBe(false);
    expect(isOutage(new Error("of an author", { cause: told("invalid", coded("ENOTFOUND")) }))).toBe(false);
    // Other kinds leave it to the cause, and the outermost word counts.
    expect(isOutage(told("denied", coded("EROFS")))).toBe(true);
    expect(isOutage(told("failed", coded("57P01")))).toBe(true);
    expect(isOutage(told("unavailable", told("invalid")))).toBe(true);
  });

  it("is told by the built-ins when a disk refuses, also where nobody foresaw how", () => {
    for (const errno of ["ENOSPC", "EROFS", "EIO", "ESTALE"]) {
      const options = { code: "components/file-unwritable", doing: "write", path: "/data/out.jsonl" } as const;
      expect(isOutage(fileFailure(coded(errno), options))).toBe(true);
    }
  });
});

describe("what libraries say of an outage", () => {
  it("is understood of fetch, when nobody listens and when the server goes away under a request", async () => {
    expect(isOutage(await rejection(fetch(`http://127.0.0.1:${await closedPort()}/`)))).toBe(true);
    expect(isOutage(await rejection(fetch(`http://localhost:${await closedPort()}/`)))).toBe(true);
    const { port, server } = await listening();
    server.on("connection", (socket) => socket.once("data", () => socket.destroy()));
    expect(isOutage(await rejection(fetch(`http://127.0.0.1:${port}/`)))).toBe(true);
    server.close();
  });

  it("is understood of a name that does not resolve, and of a Unix socket that is not there", async () => {
    expect(isOutage(await rejection(lookup("database.invalid")))).toBe(true);
    const folder = await mkdtemp(join(tmpdir(), "flowctl-outage-"));
    const socket = connect(join(folder, ".s.PGSQL.5432"));
    expect(isOutage(await rejection(once(socket, "connect")))).toBe(true);
    await rm(folder, { recursive: true });
  });

  it("is understood of a gRPC client", async () => {
    const client = new Client(`127.0.0.1:${await closedPort()}`, credentials.createInsecure());
    const same = (bytes: Buffer): Buffer => bytes;
    const call = new Promise((resolve, reject) => {
      client.makeUnaryRequest("/s/m", same, same, Buffer.alloc(0), (error, answer) =>
        error === null ? resolve(answer) : reject(error),
      );
    });
    expect(isOutage(await rejection(call))).toBe(true);
    client.close();
  });

  it("is not a URL that is none", async () => {
    expect(isOutage(await rejection(fetch("http://[")))).toBe(false);
  });
});
