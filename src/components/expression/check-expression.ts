import type { SettingProblem } from "../../pipeline/catalog.ts";
import type { ExpressionCompiler } from "./expression.ts";

export interface ExpressionCheck {
  /** Keys from `with` down to the expression. */
  readonly path: readonly (string | number)[];
  /** CEL types that will do; left out means any. `dyn` always does: it is known only at run time. */
  readonly types?: readonly string[];
}

/** What is wrong with an expression in the settings: at most one problem. */
export function checkExpression(compiler: ExpressionCompiler, text: string, check: ExpressionCheck): SettingProblem[] {
  const compiled = compiler.compile(text);
  if (!compiled.ok) {
    return [
      {
        path: check.path,
        message: `expression does not compile: ${compiled.problem.message}`,
        offset: compiled.problem.offset,
      },
    ];
  }
  const { types } = check;
  if (types === undefined || compiled.type === "dyn" || types.includes(compiled.type)) return [];
  return [
    {
      path: check.path,
      message: `expression gives ${compiled.type}, and ${types.join(" or ")} is needed here`,
      offset: 0,
    },
  ];
}
