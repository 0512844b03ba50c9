import { type Environment, EvaluationError } from "@marcbachmann/cel-js";

/** The parts of the library's macro interface that are used here; its own types leave them open. */
interface Checker<Type> {
  check(node: unknown, context: unknown): Type;
  getType(name: string): Type;
}

interface Evaluator {
  run(node: unknown, context: unknown): unknown;
}

interface DefaultMacro {
  readonly value: unknown;
  readonly fallback: unknown;
}

const missing = new Set(["no_such_key", "index_out_of_bounds"]);

/**
 * `default(expression, fallback)`: the fallback when the expression reads something that is missing, at any depth, or
 * is null. Other failures stay failures.
 */
export function registerDefaultMacro(environment: Environment): void {
  environment.registerFunction("default(ast, ast): dyn", ({ args }: { args: readonly unknown[] }) => ({
    value: args[0],
    fallback: args[1],
    async: false,
    typeCheck(checker: Checker<unknown>, macro: DefaultMacro, context: unknown): unknown {
      checker.check(macro.value, context);
      checker.check(macro.fallback, context);
      return checker.getType("dyn");
    },
    evaluate(evaluator: Evaluator, macro: DefaultMacro, context: unknown): unknown {
      try {
        const value = evaluator.run(macro.value, context);
        if (value !== null) return value;
      } catch (error) {
        if (!(error instanceof EvaluationError && missing.has(error.code))) throw error;
      }
      return evaluator.run(macro.fallback, context);
    },
  }));
}
