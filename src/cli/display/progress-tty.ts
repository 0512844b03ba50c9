import ora from "ora";
import type { Output } from "./output.ts";
import type { ProgressRenderer } from "./progress-renderer.ts";

/** A spinner that says what is going on, above it a line for everything that is done. */
export function ttyProgress(output: Output): ProgressRenderer {
  const { paintError: paint, stderr } = output;
  // Its keyboard handling would swallow Ctrl-C and keep the process alive.
  const spinner = ora({
    stream: stderr,
    discardStdin: false,
    hideCursor: true,
    ...(paint.level === 0 ? { color: false } : {}),
  });
  const working = new Map<string, string>();
  const said = new Map<string, string>();
  let stopped = false;

  const describe = (): string => {
    const width = (stderr.columns ?? 80) - 4;
    const [first] = working;
    if (first === undefined) return "";
    const more = working.size > 1 ? paint.dim(` (and ${working.size - 1} more)`) : "";
    const text = `${first[0]} ${first[1]}`;
    return text.length > width - 16 ? `${text.slice(0, Math.max(8, width - 17))}…${more}` : `${text}${more}`;
  };
  const line = (symbol: string, text: string): void => {
    spinner.clear();
    stderr.write(`${symbol} ${text}\n`);
  };

  return {
    sink: ({ subject, status, text, fraction }) => {
      if (stopped) return;
      if (status === "working") {
        // Map order is age: the one that has been going on longest is shown.
        working.set(subject, fraction === undefined ? text : `${text} ${Math.round(fraction * 100)}%`);
      } else {
        working.delete(subject);
        if (said.get(subject) !== text) {
          said.set(subject, text);
          if (status === "done") line(paint.green("✔"), `${subject} ${paint.dim(text)}`);
          else line(paint.red("✖"), `${subject} ${text}`);
        }
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
