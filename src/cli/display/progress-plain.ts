import type { Output } from "./output.ts";
import type { ProgressRenderer } from "./progress-renderer.ts";
import { nameOfSubject } from "./subject-name.ts";

/** One line whenever what is said of a subject changes; fractions alone make no new line. */
export function plainProgress(output: Output): ProgressRenderer {
  const said = new Map<string, string>();
  let stopped = false;
  return {
    sink: ({ subject, status, text }) => {
      const name = nameOfSubject(subject);
      if (stopped || (name === undefined && status !== "failed") || said.get(subject) === text) return;
      said.set(subject, text);
      const line = `${name ?? subject} ${text}`;
      output.stderr.write(`${status === "failed" ? output.paintError.red(line) : line}\n`);
    },
    stop: () => {
      stopped = true;
    },
  };
}
