import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { afterEach, describe, expect, test, vi } from "vitest";
import {
  groupMembers,
  identify,
  isAlive,
  markedProcesses,
  type ProcessIdentity,
  RUN_ID_VARIABLE,
  signalProcess,
} from "./process-identity.ts";

const children: ChildProcess[] = [];
afterEach(async () => {
  for (const child of children.splice(0)) {
    if (child.exitCode !== null || child.signalCode !== null) continue;
    const exit = once(child, "exit");
    process.kill(-(child.pid as number), "SIGKILL");
    await exit;
  }
});

/** A process group that says `up` when it is there. */
async function start(script: string, environment: Readonly<Record<string, string>> = {}): Promise<ChildProcess> {
  const child = spawn("/bin/sh", ["-c", `${script}`], {
    detached: true,
    stdio: ["ignore", "pipe", "inherit"],
    env: { PATH: process.env.PATH, ...environment },
  });
  children.push(child);
  await once(child.stdout as NodeJS.ReadableStream, "data");
  return child;
}

function identityOf(child: ChildProcess): ProcessIdentity {
  const identity = identify(child.pid as number);
  if (identity === undefined) throw new Error("not there");
  return identity;
}

describe("a process", () => {
  test("is alive under its identity until it ends, as a zombie too", async () => {
    const child = await start("echo up; exec sleep 100");
    const identity = identityOf(child);
    expect(isAlive(identity)).toBe(true);
    const exit = once(child, "exit");
    child.kill("SIGKILL");
    await exit;
    expect(isAlive(identity)).toBe(false);
    expect(identify(identity.pid)).toBeUndefined();
  });

  test("is another one when it was born at another time, whatever its pid", async () => {
    const { pid, birth } = identityOf(await start("echo up; exec sleep 100"));
    expect(isAlive({ pid, birth: `${birth}0` })).toBe(false);
    expect(isAlive({ pid, birth: "" })).toBe(false);
  });

  test("that is gone takes no signal, without an error", () => {
    expect(signalProcess(2 ** 22 - 3, "SIGTERM")).toBe(false);
  });
});

describe("marked processes", () => {
  test("are seen also while they are becoming another program", async () => {
    const marker = `exec-${process.pid}-${Date.now()}`;
    // Becomes itself again and again; for a moment of each time it has no environment.
    await start('[ "$n" = "" ] && echo up; export n=again; exec /bin/sh -c "$SELF"', {
      [RUN_ID_VARIABLE]: marker,
      SELF: 'exec /bin/sh -c "$SELF"',
    });
    const looks = Array.from({ length: 300 }, () => markedProcesses(marker).length);
    expect(looks.filter((found) => found !== 1)).toEqual([]);
  });

  test("are those with the marker in their environment, with their instance, and no others", async () => {
    const marker = `test-${process.pid}-${Date.now()}`;
    const marked = await start("echo up; exec sleep 100", { [RUN_ID_VARIABLE]: marker, FLOWCTL_INSTANCE_ID: "a-1" });
    const plain = await start("echo up; exec sleep 100", { [RUN_ID_VARIABLE]: marker });
    await start("echo up; exec sleep 100", { [RUN_ID_VARIABLE]: `${marker}0` });
    const found = markedProcesses(marker);
    expect(found.map(({ pid, group, instance }) => ({ pid, group, instance }))).toEqual(
      expect.arrayContaining([
        { pid: marked.pid, group: marked.pid, instance: "a-1" },
        { pid: plain.pid, group: plain.pid, instance: undefined },
      ]),
    );
    expect(found).toHaveLength(2);
  });
});

describe("members of a group", () => {
  test("are all processes of it, while its leader lives and after", async () => {
    const child = await start("sleep 100 & echo up; sleep 100; true");
    const leader = identityOf(child);
    await vi.waitFor(() => expect(groupMembers(leader)).toHaveLength(3));
    const exit = once(child, "exit");
    child.kill("SIGKILL");
    await exit;
    const left = groupMembers(leader);
    expect(left).toHaveLength(2);
    for (const { pid } of left) signalProcess(pid, "SIGKILL");
  });

  test("are none when the leader's pid belongs to another process by now", async () => {
    const { pid, birth } = identityOf(await start("echo up; exec sleep 100"));
    expect(groupMembers({ pid, birth: `${birth}0` })).toEqual([]);
  });
});
