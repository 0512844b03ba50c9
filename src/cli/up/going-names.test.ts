import { randomUUID } from "node:crypto";
import { expect, it } from "vitest";
import type { CommandContext } from "../command.ts";
import { announceDown, untilNoDownRuns } from "./announcements.ts";

it("a down is heard of beside any number of commands that look whether there is one", async () => {
  const said: string[] = [];
  const context = {
    deps: {
      env: { FLOWCTL_HOME: randomUUID() },
      clock: { sleep: () => new Promise((resolve) => setImmediate(resolve)) },
    },
    output: { say: (text: string) => said.push(text) },
    signal: new AbortController().signal,
  } as unknown as CommandContext;
  for (let round = 0; round < 50; round++) {
    const looking = Array.from({ length: 10 }, () => untilNoDownRuns(context, "demo"));
    const going = await announceDown(context, "demo");
    expect(going).toBeDefined();
    await going?.release();
    await Promise.all(looking);
    said.splice(0);
    // And nobody takes another one who looks for a down.
    await Promise.all([untilNoDownRuns(context, "demo"), untilNoDownRuns(context, "demo")]);
    expect(said).toEqual([]);
  }
});
