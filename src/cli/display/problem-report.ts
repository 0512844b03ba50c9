import type { Problem } from "../../pipeline/problem.ts";
import type { Paint } from "../../pipeline/render/paint.ts";
import { renderProblems } from "../../pipeline/render/render-problems.ts";
import type { ErrorView } from "./render-error.ts";

/** The report of a pipeline file for people, in the colours of the terminal and without a final line end. */
export function problemReport(
  problems: readonly Problem[],
  texts: ReadonlyMap<string, string>,
  view: ErrorView,
): string {
  return renderProblems(problems, { texts, relativeTo: view.cwd, paint: textPaint(view.paint) }).trimEnd();
}

/** What the pipeline's renderers colour, in chalk's colours. */
export function textPaint(paint: ErrorView["paint"]): Paint {
  return (role, text) => {
    switch (role) {
      case "error":
      case "caret":
        return paint.red(text);
      case "warning":
        return paint.yellow(text);
      case "place":
      case "id":
        return paint.bold(text);
      case "fix":
        return paint.green(text);
      default:
        return paint.dim(text);
    }
  };
}
