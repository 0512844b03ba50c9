import { appendFile, mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { readDeadLetter } from "./dead-letter.ts";
import { eventLine } from "./event-line.ts";
import { readDeadLetters } from "./read-dead-letters.ts";
import { appendMarks, marksPathOf, readMarks } from "./replay-marks.ts";

const letterLine = (id: string, time = "2026-05-04T10:00:00.000Z"): string =>
  eventLine({
    id,
    type: "order.v1",
    payload: Buffer.from('{"n":"a\u2028b"}'),
    metadata: {
      region: "eu",
      "flowctl.dead_letter.reason": "no such key",
      "flowctl.dead_letter.component": "enrich",
      "flowctl.dead_letter.upstream": "orders",
      "flowctl.dead_letter.attempts": "3",
      "flowctl.dead_letter.time": time,
    },
    timestamp: undefined,
    sourceComponentId: "orders",
    contentType: "application/json",
  });

let folder = "";
beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), "flowctl-letters-"));
});
afterEach(() => rm(folder, { recursive: true, force: true }));

async function idsIn(path: string): Promise<string[]> {
  const ids: string[] = [];
  for await (const { letter, number } of readDeadLetters(path)) ids.push(`${number} ${letter.event.id}`);
  return ids;
}

describe("a dead letter", () => {
  it("is the event as it came, and apart from it why, where and when it was given up", () => {
    expect(readDeadLetter(letterLine("o-1"))).toMatchObject({
      event: { id: "o-1", metadata: { region: "eu" }, sourceComponentId: "orders" },
      reason: "no such key",
      component: "enrich",
      upstream: "orders",
      attempts: 3,
      time: "2026-05-04T10:00:00.000Z",
    });
  });

  it("has a key that is another one when the same event is given up again", () => {
    const keyOf = (line: string): string | undefined => readDeadLetter(line)?.key;
    expect(keyOf(letterLine("o-1"))).toBe(keyOf(letterLine("o-1")));
    expect(keyOf(letterLine("o-1", "2026-05-04T10:00:01.000Z"))).not.toBe(keyOf(letterLine("o-1")));
  });
});

describe("a file of dead letters", () => {
  it("gives its letters with their line numbers, and passes over everything else", async () => {
    const path = join(folder, "rejected.jsonl");
    const ordinary = eventLine({ ...readDeadLetter(letterLine("x"))!.event });
    await writeFile(path, [letterLine("a"), ordinary, "a note", letterLine("b"), letterLine("torn")].join("\n"));
    expect(await idsIn(path)).toEqual(["1 a", "4 b"]);
  });

  it("longer than what is read at once is read line by line", async () => {
    const path = join(folder, "rejected.jsonl");
    const ids = Array.from({ length: 2_000 }, (_, n) => `o-${n}`);
    await writeFile(path, ids.map((id) => `${letterLine(id)}\n`).join(""));
    expect(await idsIn(path)).toEqual(ids.map((id, n) => `${n + 1} ${id}`));
  });

  it("that is not there is an error", async () => {
    await expect(idsIn(join(folder, "none"))).rejects.toMatchObject({ code: "ENOENT" });
  });
});

describe("the marks of what was replayed", () => {
  it("are kept beside the letters, also after one that a crash left unfinished", async () => {
    const path = marksPathOf(join(folder, "rejected-{instance}.jsonl"));
    expect(path).toBe(join(folder, "rejected-all.jsonl.replayed"));
    expect(await readMarks(path)).toEqual(new Map());
    const now = new Date("2026-05-04T11:00:00.000Z");
    await appendMarks(path, [{ key: "aa", id: "1" }], now);
    await appendFile(path, '{"letter":"bb","id"');
    await appendMarks(path, [{ key: "cc", id: "3" }], now);
    expect([...(await readMarks(path)).keys()]).toEqual(["aa", "cc"]);
    expect(await readFile(path, "utf8")).toContain(
      '{"letter":"aa","id":"1","replayed_at":"2026-05-04T11:00:00.000Z"}\n',
    );
  });
});
