import files from "node:fs/promises";
import { syncBuiltinESMExports } from "node:module";
import { dirname, join } from "node:path";
import { afterAll, beforeAll, expect, it } from "vitest";
import { temporaryDirectory } from "../components/component-harness.fake.ts";
import { OnceFile } from "../components/sinks/once-file.ts";
import { writeFileAtomically } from "../drivers/process/home/atomic-file.ts";
import { appendMarks } from "../event-files/replay-marks.ts";
import { StateLog } from "../sdk/state-log.ts";
import { SegmentLog } from "../streams/sending/segments/segment-log.ts";

/** What was opened or made and what was synced, in order. */
const done: string[] = [];

const { open, rename } = files;

/** What modules import by name from Node.js follows what is done to the module itself. */
function replace(others: Pick<typeof files, "open" | "rename">): void {
  Object.assign(files, others);
  syncBuiltinESMExports();
}

beforeAll(() =>
  replace({
    open: async (...args) => {
      const file = await open(...args);
      const path = String(args[0]);
      done.push(`open ${path}`);
      for (const method of ["sync", "datasync"] as const) {
        const wait = file[method].bind(file);
        file[method] = async () => {
          await wait();
          done.push(`${method} ${path}`);
        };
      }
      return file;
    },
    rename: async (from, to) => {
      await rename(from, to);
      done.push(`open ${String(to)}`);
    },
  }),
);

afterAll(() => replace({ open, rename }));

/** That the name of a file was made to last after the file was opened. */
function expectLasting(path: string): void {
  const opened = done.indexOf(`open ${path}`);
  expect(opened, `${path} was never opened`).toBeGreaterThanOrEqual(0);
  expect(done.slice(opened)).toContain(`sync ${dirname(path)}`);
}

it.each<readonly [string, (folder: string) => Promise<string>]>([
  [
    "segments of a buffer",
    async (folder) => {
      const log = await SegmentLog.open(folder, { openFile: (...args) => files.open(...args) });
      log.appendRun(Buffer.from([0x12, 1, 7]), 0, 3, 1);
      await log.flush();
      await log.close();
      return join(folder, "0000000001.segment");
    },
  ],
  [
    "what a component remembers",
    async (folder) => {
      const { log } = await StateLog.open({ directory: folder, name: "log", capacity: 100 }, () => 1);
      await log.append(1, 1);
      await log.sync();
      await log.close();
      return join(folder, "log-1.log");
    },
  ],
  [
    "the file of a sink",
    async (folder) => {
      const path = join(folder, "out.jsonl");
      const state = { stateDirectory: join(folder, "state"), remember: 10, durable: true, replace: false };
      await (await OnceFile.open({ path, ...state })).close();
      return path;
    },
  ],
  [
    "a record of the process driver",
    async (folder) => {
      await writeFileAtomically(join(folder, "record.json"), "{}");
      return join(folder, "record.json");
    },
  ],
  [
    "marks of replayed dead letters",
    async (folder) => {
      await appendMarks(join(folder, "letters.replayed"), [{ key: "a" as never, id: "a" }], new Date(0));
      return join(folder, "letters.replayed");
    },
  ],
])("names survive a power cut: of %s, and of the folders that were made for it", async (_, make) => {
  await using directory = await temporaryDirectory();
  done.length = 0;
  const folder = join(directory.path, "made", "deeper");
  expectLasting(await make(folder));
  expect(done).toContain(`sync ${directory.path}`);
  expect(done).toContain(`sync ${join(directory.path, "made")}`);
});

it("what a component remembers is on the disk in the file before, too, when a sync in the next one resolves", async () => {
  await using directory = await temporaryDirectory();
  const { log } = await StateLog.open({ directory: directory.path, name: "log", capacity: 2 }, () => 1);
  done.length = 0;
  for (let n = 0; n < 3; n++) await log.append(n, 1);
  await log.sync();
  expect(done.filter((each) => each.startsWith("datasync"))).toEqual([
    `datasync ${join(directory.path, "log-1.log")}`,
    `datasync ${join(directory.path, "log-2.log")}`,
  ]);
  await log.close();
});
