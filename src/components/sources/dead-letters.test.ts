import { readFile, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { describe, expect, it } from "vitest";
import { eventLine } from "../../event-files/event-line.ts";
import { readMarks } from "../../event-files/replay-marks.ts";
import { systemClock } from "../../foundation/clock.ts";
import { payloadText, runSource, temporaryDirectory } from "../component-harness.fake.ts";
import { createDeadLetters } from "./dead-letters.ts";

const source = createDeadLetters(systemClock);

const letter = (n: number): string =>
  eventLine({
    id: `e${n}`,
    type: "order.v1",
    payload: Buffer.from(`{"n": ${n}.0}`),
    metadata: { region: "eu", "flowctl.dead_letter.component": "map", "flowctl.dead_letter.reason": "why" },
    timestamp: n === 1 ? undefined : new Date("2026-05-04T10:00:00.123Z"),
    sourceComponentId: "feed",
    contentType: "application/json",
  });

/** A file of dead letters, and one for marks. */
async function files(directory: string, lines: readonly string[]): Promise<{ path: string; marks: string }> {
  const path = join(directory, "letters.jsonl");
  await writeFile(path, lines.map((line) => `${line}\n`).join(""));
  return { path, marks: join(directory, "marks") };
}

async function markedIn(path: string): Promise<string[]> {
  if ((await readMarks(path)).size === 0) return [];
  return [...new Set([...(await readFile(path, "utf8")).matchAll(/"id":"(\w+)"/g)].map(([, id]) => id ?? ""))];
}

describe("the source of dead letters", () => {
  it("sends each event as it was before it failed, and passes over what is none", async () => {
    await using directory = await temporaryDirectory();
    const config = await files(directory.path, [letter(1), "a note", '{"n":1}', letter(2)]);
    const emitted = await runSource(source, { config });
    expect(emitted.map(({ event }) => payloadText(event))).toEqual(['{"n": 1.0}', '{"n": 2.0}']);
    expect(emitted[0]?.event).toMatchObject({
      id: "e1",
      type: "order.v1",
      metadata: { region: "eu" },
      sourceComponentId: "feed",
      contentType: "application/json",
      timestamp: null,
    });
    expect(emitted[1]?.event.timestamp).toEqual(new Date("2026-05-04T10:00:00.123Z"));
  });

  it("marks exactly what is acknowledged", async () => {
    await using directory = await temporaryDirectory();
    const config = await files(directory.path, [letter(1), letter(2), letter(3)]);
    await runSource(source, {
      config,
      async onEmit({ event, position }, handlers) {
        if (event.id === "e2") await handlers.committed?.(position);
      },
    });
    expect(await markedIn(config.marks)).toEqual(["e1", "e2"]);
  });

  it("goes on after what was acknowledged, and marks it where a crash came before the mark", async () => {
    await using directory = await temporaryDirectory();
    const config = await files(directory.path, [letter(1), letter(2), letter(3)]);
    const emitted = await runSource(source, { config, position: { line: 2 } });
    expect(emitted.map(({ event }) => event.id)).toEqual(["e3"]);
    expect(await markedIn(config.marks)).toEqual(["e1", "e2"]);
  });

  it("that had sent everything before a crash only marks it", async () => {
    await using directory = await temporaryDirectory();
    const config = await files(directory.path, [letter(1), letter(2)]);
    expect(await runSource(source, { config, position: { line: 2 } })).toEqual([]);
    expect(await markedIn(config.marks)).toEqual(["e1", "e2"]);
  });
});
