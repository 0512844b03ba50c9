import { Metadata, type ServiceError, status } from "@grpc/grpc-js";
import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { type ErrorKind, FlowctlError } from "../foundation/errors.ts";
import { ended, fromServiceError, toStatus } from "./grpc-errors.ts";

const kinds: readonly ErrorKind[] = [
  "usage",
  "invalid",
  "not-found",
  "conflict",
  "unavailable",
  "denied",
  "unauthenticated",
  "timeout",
  "cancelled",
  "failed",
  "internal",
];

/** What a client gets of a status that a server sent. */
function received(sent: ReturnType<typeof toStatus>): ServiceError {
  return Object.assign(new Error(sent.details), sent);
}

function serviceError(code: status): ServiceError {
  return Object.assign(new Error("raw"), { code, details: "raw", metadata: new Metadata() });
}

describe("an error on the wire", () => {
  it("comes back as the same FlowctlError, whatever it says", () => {
    const texts = fc.string({ unit: "binary", maxLength: 300 });
    fc.assert(
      fc.property(
        fc.record({
          code: fc.stringMatching(/^[a-z]{1,9}\/[a-z-]{1,30}$/),
          kind: fc.constantFrom(...kinds),
          message: texts,
        }),
        fc.option(texts, { nil: undefined }),
        (given, fix) => {
          const error = new FlowctlError({ ...given, ...(fix === undefined ? {} : { fix }) });
          const back = fromServiceError(received(toStatus(error)), "peer:1");
          expect(back).toMatchObject({ name: "FlowctlError", ...given });
          expect(back.fix).toBe(fix);
        },
      ),
    );
  });

  it.for(["x", "é", "\u{1f30d}", "\0", '"'])(
    "is small enough for a header block, however long its text of %j is",
    (unit) => {
      const long = unit.repeat(100_000);
      const { metadata, details } = toStatus(
        new FlowctlError({ code: "a/b", kind: "invalid", message: long, fix: long, path: long }),
      );
      const headers = Object.values(metadata.toHttp2Headers()).flat();
      const size = headers.reduce<number>((sum, value) => sum + String(value).length, encodeURI(details).length);
      expect(size).toBeLessThan(8 * 1024);
    },
  );

  it("can be sent, wherever its text is cut and whatever stands there", () => {
    // The server encodes a status after its handlers are through: what throws there ends the program.
    for (const before of ["", "a"]) {
      for (const text of ["\u{1f30d}".repeat(2_000), "\ud83c".repeat(2_000), "\udf0d"]) {
        const message = `${before}${text}`;
        const { details } = toStatus(new FlowctlError({ code: "a/b", kind: "invalid", message, path: message }));
        expect(() => encodeURI(details)).not.toThrow();
      }
    }
  });

  it("shows its code to clients in other languages", () => {
    const sent = toStatus(new FlowctlError({ code: "registry/unknown-instance", kind: "not-found", message: "m" }));
    expect(sent.code).toBe(status.NOT_FOUND);
    expect(sent.metadata.get("flowctl-code")).toEqual(["registry/unknown-instance"]);
  });

  it("that nobody foresaw is internal, and says what was thrown", () => {
    expect(toStatus(new TypeError("x is undefined"))).toMatchObject({
      code: status.INTERNAL,
      details: "x is undefined",
    });
  });

  it("of another server is told apart by its status", () => {
    const codes = (code: status) => fromServiceError(serviceError(code), "peer:1");
    expect(codes(status.UNAVAILABLE)).toMatchObject({ code: "client/unreachable", kind: "unavailable" });
    expect(codes(status.UNIMPLEMENTED)).toMatchObject({ code: "client/call-failed", kind: "not-found" });
    expect(codes(status.DEADLINE_EXCEEDED)).toMatchObject({ code: "client/timeout", kind: "timeout" });
  });

  it("under our key that is no error of ours is ignored", () => {
    for (const text of ["", "null", "7", '{"code":"a/b"}', '{"code":"a/b","kind":"odd","message":"m"}']) {
      const error = serviceError(status.UNAVAILABLE);
      error.metadata.set("flowctl-error-bin", Buffer.from(text));
      expect(fromServiceError(error, "peer:1").code).toBe("client/unreachable");
    }
  });
});

describe("a call whose signal fired", () => {
  it("counts as unreachable when its time was over, else as cancelled", () => {
    const timeout = AbortSignal.abort(new DOMException("late", "TimeoutError"));
    expect(ended(timeout, "peer:1")).toMatchObject({ code: "client/unreachable", kind: "unavailable" });
    expect(ended(AbortSignal.abort(), "peer:1").kind).toBe("cancelled");
    expect(fromServiceError(serviceError(status.CANCELLED), "peer:1", AbortSignal.abort()).kind).toBe("cancelled");
  });
});
