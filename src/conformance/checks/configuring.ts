import { describeExit } from "../bench.ts";
import { Broken } from "../waiting.ts";
import { type Check, everyType } from "./check.ts";

export const configuringChecks: readonly Check[] = [
  {
    id: "config/invalid",
    title: "exits with an error and a clear last line when its configuration is wrong",
    fix: "Check FLOWCTL_CONFIG at the start; when it is wrong, write one line to stderr that says so and exit with 1.",
    types: everyType,
    async run(bench) {
      const component = await bench.launchOnly({ environment: { FLOWCTL_CONFIG: "{this is not JSON" } });
      const exit = await bench.exited(bench.timing.startMs, "with a FLOWCTL_CONFIG that is not JSON");
      if (exit.code === 0 || exit.code === null) {
        throw new Broken(`it exited with ${describeExit(exit)} with a FLOWCTL_CONFIG that is not JSON`);
      }
      const last = component.errorOutput().findLast((line) => line.trim() !== "");
      if (last === undefined) throw new Broken("it wrote nothing to stderr about its configuration");
      if (stackFrame.test(last) || /^Node\.js v/.test(last)) {
        throw new Broken(`its last line on stderr is part of a stack trace: ${last.trim().slice(0, 120)}`);
      }
    },
  },
];

const stackFrame = /^\s+at .+|^\s+File ".+", line \d+|^\s+\^+\s*$/;
