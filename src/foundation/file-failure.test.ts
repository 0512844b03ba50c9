import { describe, expect, it } from "vitest";
import { FlowctlError } from "./errors.ts";
import { fileFailure } from "./file-failure.ts";

function failure(errno: string): FlowctlError {
  const said = Object.assign(new Error(`${errno}: said the kernel`), { code: errno });
  return fileFailure(said, { code: "test/unwritable", doing: "write", path: "/data/out.jsonl" });
}

describe("what the file system refused", () => {
  it.each([
    ["ENOSPC", "unavailable", "Free disk space for /data/out.jsonl"],
    ["EDQUOT", "unavailable", "disk quota for /data/out.jsonl"],
    ["EFBIG", "unavailable", "ulimit -f"],
    ["EACCES", "denied", `(uid ${process.getuid?.()}) permission to write /data/out.jsonl`],
    ["EROFS", "denied", "mounted read-only"],
    ["ENOENT", "not-found", "Create the folder of /data/out.jsonl"],
    ["ENOTDIR", "invalid", "use another path"],
  ])("is told for %s with the path and what to do about it", (errno, kind, fix) => {
    const error = failure(errno);
    expect(error).toMatchObject({ code: "test/unwritable", kind });
    expect(error.message).toBe(`cannot write /data/out.jsonl: ${errno}: said the kernel`);
    expect(error.fix).toContain(fix);
  });

  it("keeps the message of what nobody foresaw, and leaves an error that says more alone", () => {
    expect(failure("EIO")).toMatchObject({ kind: "unavailable", fix: undefined });
    const precise = new FlowctlError({ code: "a/b", kind: "invalid", message: "m" });
    expect(fileFailure(precise, { code: "c/d", doing: "read", path: "/x" })).toBe(precise);
  });
});
