import { describe, expect, it } from "vitest";
import { decodeTrace } from "./buildkit-trace.ts";

/** A length-delimited field. */
function field(number: number, content: string | Buffer): Buffer {
  const bytes = Buffer.from(content as string);
  const length = [];
  let rest = bytes.length;
  for (; rest >= 128; rest >>>= 7) length.push((rest & 127) | 128);
  return Buffer.concat([Buffer.from([(number << 3) | 2, ...length, rest]), bytes]);
}

const flag = Buffer.from([(4 << 3) | 0, 1]);

describe("a trace record of the builder", () => {
  it("tells steps, their errors and what they printed, and skips the rest", () => {
    const step = Buffer.concat([
      field(1, "sha256:1"),
      field(2, "in"),
      field(3, "[1/2] RUN make"),
      flag,
      field(5, "t"),
      field(7, "exit 2"),
    ]);
    const log = Buffer.concat([
      field(1, "sha256:1"),
      field(2, "t"),
      Buffer.from([3 << 3, 1]),
      field(4, "no rule ä".repeat(40)),
    ]);
    const record = Buffer.concat([field(1, step), field(2, "status"), field(3, log)]);
    expect(decodeTrace(record)).toEqual({
      steps: [{ digest: "sha256:1", name: "[1/2] RUN make", started: true, error: "exit 2" }],
      logs: [{ digest: "sha256:1", text: "no rule ä".repeat(40) }],
    });
  });

  it("does not break on records that are cut short or are of another kind", () => {
    const record = field(1, field(3, "[1/2] FROM base"));
    for (let length = 0; length <= record.length; length++) decodeTrace(record.subarray(0, length));
    expect(decodeTrace(Buffer.from([0xff, 0xff, 0xff]))).toEqual({ steps: [], logs: [] });
  });
});
