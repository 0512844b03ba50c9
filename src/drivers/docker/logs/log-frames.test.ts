import { describe, expect, it } from "vitest";
import { LineAssembler, LogFrameParser } from "./log-frames.ts";

function frame(stream: 1 | 2, text: string): Buffer {
  const payload = Buffer.from(text);
  const header = Buffer.alloc(8);
  header[0] = stream;
  header.writeUInt32BE(payload.length, 4);
  return Buffer.concat([header, payload]);
}

const stamp = "2026-01-02T03:04:05.000000006Z";
const nanoseconds = BigInt(Date.parse("2026-01-02T03:04:05Z")) * 1_000_000n + 6n;

describe("log frames", () => {
  it("come out whole, however the stream is cut", () => {
    const bytes = Buffer.concat([frame(1, `${stamp} one\n`), frame(2, `${stamp} zwei ä\n`), frame(1, `${stamp} \n`)]);
    for (let size = 1; size <= bytes.length; size++) {
      const parser = new LogFrameParser();
      const frames = [];
      for (let at = 0; at < bytes.length; at += size) frames.push(...parser.push(bytes.subarray(at, at + size)));
      expect(frames.map(({ stream, payload }) => [stream, payload.toString()])).toEqual([
        ["stdout", `${stamp} one\n`],
        ["stderr", `${stamp} zwei ä\n`],
        ["stdout", `${stamp} \n`],
      ]);
      expect(parser.incomplete).toBe(false);
    }
  });

  it("tell that a stream stopped inside one", () => {
    const parser = new LogFrameParser();
    parser.push(frame(1, `${stamp} one\n`).subarray(0, 20));
    expect(parser.incomplete).toBe(true);
  });
});

describe("log lines", () => {
  const push = (assembler: LineAssembler, stream: "stdout" | "stderr", text: string | Buffer) =>
    assembler.push({ stream, payload: Buffer.concat([Buffer.from(`${stamp} `), Buffer.from(text)]) });

  it("lose their stamp and line end, and keep the time to the nanosecond", () => {
    const assembler = new LineAssembler();
    expect(push(assembler, "stderr", "hello  there\r\n")).toEqual({
      stream: "stderr",
      nanoseconds,
      text: "hello  there",
    });
    expect(push(assembler, "stderr", "\n")).toEqual({ stream: "stderr", nanoseconds, text: "" });
  });

  it("are put together of the engine's pieces, also in the middle of a character, each stream on its own", () => {
    const assembler = new LineAssembler();
    const euro = Buffer.from("€");
    expect(push(assembler, "stdout", euro.subarray(0, 1))).toBeUndefined();
    expect(push(assembler, "stderr", "other\n")?.text).toBe("other");
    expect(push(assembler, "stdout", Buffer.concat([euro.subarray(1), Buffer.from("!\n")]))?.text).toBe("€!");
  });

  it("that a program did not end come at the end", () => {
    const assembler = new LineAssembler();
    push(assembler, "stdout", "half");
    expect(assembler.flush().map(({ text }) => text)).toEqual(["half"]);
    expect(assembler.flush()).toEqual([]);
  });

  it("that never end are cut instead of kept in memory for ever", () => {
    const assembler = new LineAssembler();
    const piece = "x".repeat(16 * 1024);
    let lines = 0;
    for (let pushed = 0; pushed < 130; pushed++) if (push(assembler, "stdout", piece) !== undefined) lines++;
    expect(lines).toBe(2);
  });
});
