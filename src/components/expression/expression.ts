import { TypeError as CelTypeError, Environment, EvaluationError, ParseError } from "@marcbachmann/cel-js";
import { closest, listed } from "../../foundation/did-you-mean.ts";
import { FlowctlError, messageOf } from "../../foundation/errors.ts";
import { registerDefaultMacro } from "./default-macro.ts";
import { expressionFix, plainMessage } from "./expression-fix.ts";
import { inCel, withVariable } from "./other-languages.ts";
import { readTypeAsVariable, typeVariable } from "./type-variable.ts";

/** Longest expression that is repaired, in characters. */
const MOST_REPAIRED = 120;
/** How many unknown names of one expression are repaired. */
const MOST_NAMES = 4;

/** What a compiled expression reads its variables from. Properties may be getters: only what is used is computed. */
export type ExpressionScope = object;

/** A compiled expression. Safe to call millions of times; never waits, never loops without end. */
export interface Expression {
  readonly text: string;
  /** Evaluates. Throws `components/expression-failed` (kind `invalid`) naming the expression and the place in it. */
  evaluate(scope: ExpressionScope): unknown;
}

/** Why an expression cannot be compiled. */
export interface ExpressionProblem {
  readonly message: string;
  /** Where in the expression, in characters from 0. */
  readonly offset: number;
  /** An instruction, for a common mistake. */
  readonly fix?: string;
  /** For a name that is unknown: the name, and those that are known. */
  readonly unknown?: { readonly name: string; readonly known: readonly string[] };
}

export type Compilation =
  | { readonly ok: true; readonly expression: Expression; readonly type: string }
  | { readonly ok: false; readonly problem: ExpressionProblem };

/** Name of a variable, and its CEL type: `dyn`, `string`, `double`, `map<string, string>` … */
export type VariableTypes = Readonly<Record<string, string>>;

/** Functions beside CEL's own: signature (`pick(list<dyn>): dyn`) and what it does. */
export type ExtraFunctions = Readonly<Record<string, (...args: never[]) => unknown>>;

/**
 * Compiles CEL expressions over a fixed set of variables. Numbers out of JSON and whole-number literals mix freely
 * (`payload.n * 2`, `payload.n == 4`); `default(payload.a.b, 0)` gives the second value when the first is missing or
 * null. Making one costs about a millisecond: make it once.
 */
export class ExpressionCompiler {
  readonly #environment: Environment;
  readonly #variables: readonly string[];

  constructor(variables: VariableTypes, functions: ExtraFunctions = {}) {
    this.#variables = Object.keys(variables);
    const environment = new Environment({ homogeneousAggregateLiterals: false, enableOptionalTypes: true });
    for (const [name, type] of Object.entries(variables)) environment.registerVariable(typeVariable(name), type);
    registerMixedArithmetic(environment);
    registerTimeFunctions(environment);
    registerDefaultMacro(environment);
    for (const [signature, handler] of Object.entries(functions)) {
      environment.registerFunction(signature, handler as (...args: unknown[]) => unknown, { async: false });
    }
    this.#environment = environment;
  }

  /** Never throws: what is wrong with the text is in the result. */
  compile(text: string): Compilation {
    const compiled = this.#compile(text);
    if (compiled.ok) return compiled;
    const { problem } = compiled;
    const right = this.#repaired(text);
    return right === undefined ? compiled : { ok: false, problem: { ...problem, fix: right } };
  }

  #compile(text: string): Compilation {
    try {
      const parsed = this.#environment.parse(text);
      readTypeAsVariable(parsed.ast);
      const check = parsed.check();
      if (!check.valid) return { ok: false, problem: this.#problemOf(text, check.error) };
      return { ok: true, expression: new CompiledExpression(text, parsed), type: check.type ?? "dyn" };
    } catch (error) {
      return { ok: false, problem: this.#problemOf(text, error) };
    }
  }

  /** Says to write what was probably meant, which compiles; undefined where nothing does, and where it is too long to be said in a line. */
  #repaired(text: string): string | undefined {
    if (text.length > MOST_REPAIRED) return undefined;
    let right = inCel(text, this.#variables);
    let orElse = "";
    for (let names = 0; names <= MOST_NAMES; names++) {
      const compiled = this.#compile(right);
      if (compiled.ok) return `write \`${right}\`${orElse}`;
      const { unknown } = compiled.problem;
      if (unknown === undefined || unknown.known !== this.#variables) return undefined;
      const near = closest(unknown.name, this.#variables);
      if (near === undefined) {
        if (!this.#variables.includes("payload")) return undefined;
        // The name is like none that there is: what there is may tell more than a guess.
        orElse = `, or use one of ${listed(this.#variables.toSorted())}`;
      }
      right = withVariable(right, unknown.name, near ?? `payload.${unknown.name}`);
    }
    return undefined;
  }

  /** As `compile`, for text that was checked before. Throws `components/bad-expression` all the same. */
  mustCompile(text: string): Expression {
    const compiled = this.compile(text);
    if (compiled.ok) return compiled.expression;
    throw new FlowctlError({
      code: "components/bad-expression",
      kind: "invalid",
      message: `cannot compile the expression '${text}': ${compiled.problem.message} (at character ${compiled.problem.offset + 1})`,
    });
  }

  #problemOf(text: string, error: unknown): ExpressionProblem {
    const problem = problemOf(error);
    const variable = /^Unknown variable: (\w+)$/.exec(problem.message)?.[1];
    if (variable !== undefined) return { ...problem, unknown: { name: variable, known: this.#variables } };
    const call = /^found no matching overload for '(?:.*\.)?(\w+)\(/.exec(problem.message)?.[1];
    if (call !== undefined) {
      const known = this.#environment.getDefinitions().functions.map((definition) => definition.name);
      if (!known.includes(call)) {
        return {
          ...problem,
          message: `Unknown function: ${call}`,
          unknown: { name: call, known: [...new Set(known)] },
        };
      }
      return { ...problem, fix: `check the arguments of \`${call}\`` };
    }
    const fix = expressionFix(text, problem);
    return { ...problem, message: plainMessage(problem.message), ...(fix === undefined ? {} : { fix }) };
  }
}

class CompiledExpression implements Expression {
  readonly text: string;
  readonly #run: (scope: Record<string, unknown>) => unknown;

  constructor(text: string, run: (scope: Record<string, unknown>) => unknown) {
    this.text = text;
    this.#run = run;
  }

  evaluate(scope: ExpressionScope): unknown {
    try {
      return this.#run(scope as Record<string, unknown>);
    } catch (error) {
      throw this.#failure(error);
    }
  }

  #failure(error: unknown): FlowctlError {
    if (error instanceof FlowctlError) return error;
    const place = isCelError(error) && error.range !== undefined ? ` (at character ${error.range.start + 1})` : "";
    return new FlowctlError({
      code: "components/expression-failed",
      kind: "invalid",
      message: `'${this.text}' cannot be evaluated: ${isCelError(error) ? error.summary : messageOf(error)}${place}`,
      fix: "guard fields that may be missing with has(…) or default(…, fallback), or handle such events with on_error",
      cause: error,
    });
  }
}

function problemOf(error: unknown): ExpressionProblem {
  if (!isCelError(error)) return { message: messageOf(error), offset: 0 };
  return { message: error.summary, offset: error.range?.start ?? 0 };
}

function isCelError(error: unknown): error is ParseError | EvaluationError | CelTypeError {
  return error instanceof ParseError || error instanceof EvaluationError || error instanceof CelTypeError;
}

const arithmetic: Readonly<Record<string, (left: number, right: number) => number>> = {
  "+": (left, right) => left + right,
  "-": (left, right) => left - right,
  "*": (left, right) => left * right,
  "/": (left, right) => left / right,
  "%": (left, right) => left % right,
};

/** CEL refuses `int * double`; JSON does not tell the two apart, so whoever writes `payload.n * 2` must not have to. */
function registerMixedArithmetic(environment: Environment): void {
  for (const [operator, apply] of Object.entries(arithmetic)) {
    const mixed = (left: number | bigint, right: number | bigint): number => apply(Number(left), Number(right));
    environment.registerOperator(`int ${operator} double: double`, mixed);
    environment.registerOperator(`double ${operator} int: double`, mixed);
  }
  environment.registerOperator("double % double: double", (left: number, right: number) => left % right);
}

/** Unix seconds out of JSON are doubles, and a timestamp has to go back into JSON as text. */
function registerTimeFunctions(environment: Environment): void {
  const synchronous = { async: false };
  environment.registerFunction(
    "timestamp(double): google.protobuf.Timestamp",
    (seconds: number) => new Date(seconds * 1000),
    synchronous,
  );
  environment.registerFunction(
    "string(google.protobuf.Timestamp): string",
    (time: Date) => time.toISOString(),
    synchronous,
  );
}
