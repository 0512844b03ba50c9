import ora from "ora";
import { type Clock, systemClock } from "../../foundation/clock.ts";
import type { Output } from "./output.ts";
import type { ProgressRenderer } from "./progress-renderer.ts";
import { humanDuration } from "./quantities.ts";
import { nameOfSubject } from "./subject-name.ts";

/** Names are padded to at least and at most this width, in characters, so that what is said of them is one column. */
const NAME_WIDTH = { least: 16, most: 40 };

/** A spinner that says what is going on, above it a line for everything that is done, with the time that it took. */
export function ttyProgress(output: Output, clock: Pick<Clock, "elapsed"> = systemClock): ProgressRenderer {
  const { paintError: paint, stderr } = output;
  // Its keyboard handling would swallow Ctrl-C and keep the process alive.
  const spinner = ora({
    stream: stderr,
    discardStdin: false,
    hideCursor: true,
    ...(paint.level === 0 ? { color: false } : {}),
  });
  const working = new Map<string, string>();
  const begun = new Map<string, number>();
  const said = new Map<string, string>();
  let stopped = false;
  /** Of the longest name so far: most are known before the first of them is done. */
  let width = NAME_WIDTH.least;

  const describe = (): string => {
    const room = (stderr.columns ?? 80) - 4;
    const [first] = working;
    if (first === undefined) return "";
    const more = working.size > 1 ? paint.dim(` (and ${working.size - 1} more)`) : "";
    const text = `${first[0]} ${first[1]}`;
    return text.length > room - 16 ? `${text.slice(0, Math.max(8, room - 17))}…${more}` : `${text}${more}`;
  };
  const line = (symbol: string, text: string): void => {
    spinner.clear();
    stderr.write(`${symbol} ${text}\n`);
  };

  const took = (subject: string): string => {
    const since = begun.get(subject);
    return since === undefined ? "" : paint.dim(`  ${humanDuration(clock.elapsed() - since)}`);
  };

  return {
    sink: ({ subject, status, text, fraction }) => {
      const known = nameOfSubject(subject);
      if (stopped || (known === undefined && status !== "failed")) return;
      const name = known ?? subject;
      width = Math.max(width, Math.min(name.length, NAME_WIDTH.most));
      if (status === "working") {
        if (!begun.has(subject)) begun.set(subject, clock.elapsed());
        // Map order is age: the one that has been going on longest is shown.
        working.set(name, fraction === undefined ? text : `${text} ${Math.round(fraction * 100)}%`);
      } else {
        working.delete(name);
        if (said.get(subject) !== text) {
          said.set(subject, text);
          if (status === "done") line(paint.green("✔"), `${name.padEnd(width)} ${text}${took(subject)}`);
          else line(paint.red("✖"), `${name} ${text}`);
        }
        begun.delete(subject);
      }
      if (working.size === 0) spinner.stop();
      else {
        spinner.text = describe();
        if (!spinner.isSpinning) spinner.start();
      }
    },
    stop: () => {
      stopped = true;
      spinner.stop();
    },
  };
}
