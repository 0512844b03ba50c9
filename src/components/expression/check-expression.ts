import { closest } from "../../foundation/did-you-mean.ts";
import type { SettingProblem } from "../../pipeline/catalog.ts";
import type { ExpressionCompiler, ExpressionProblem } from "./expression.ts";

export interface ExpressionCheck {
  /** Keys from `with` down to the expression. */
  readonly path: readonly (string | number)[];
  /** CEL types that will do, `list` of anything among them; left out means any. `dyn` always does: it is known only at run time. */
  readonly types?: readonly string[];
}

/** What is wrong with an expression in the settings: at most one problem. */
export function checkExpression(compiler: ExpressionCompiler, text: string, check: ExpressionCheck): SettingProblem[] {
  const compiled = compiler.compile(text);
  if (!compiled.ok) {
    const fix = fixOf(text, compiled.problem, check);
    return [
      {
        path: check.path,
        message: `expression does not compile: ${compiled.problem.message}`,
        offset: compiled.problem.offset,
        ...(fix === undefined ? {} : { fix }),
        ...(compiled.problem.unknown === undefined ? {} : { unknown: compiled.problem.unknown }),
      },
    ];
  }
  const { types } = check;
  const [outer = ""] = compiled.type.split("<", 1);
  if (types === undefined || outer === "dyn" || types.includes(compiled.type) || types.includes(outer)) return [];
  return [
    {
      path: check.path,
      message: `expression returns ${compiled.type}, but must return ${types.join(" or ")}`,
      fix: types.includes("bool")
        ? "compare the value with something, such as `payload.ok == true`"
        : `use an expression that returns ${types.join(" or ")}`,
      offset: 0,
    },
  ];
}

/** Words alone may be meant as a text, which takes quotes within those of YAML. */
function fixOf(text: string, { fix, unknown }: ExpressionProblem, { types }: ExpressionCheck): string | undefined {
  const isText = types === undefined || types.includes("string");
  if (!isText || !/^[A-Za-z][\w -]*$/.test(text)) return fix;
  if (unknown !== undefined && closest(unknown.name, unknown.known) !== undefined) return fix;
  const quoted = `write \`"'${text}'"\` for the text itself`;
  return fix === undefined ? quoted : `${fix.replace(/, or use .*/, "")}, or ${quoted}`;
}
