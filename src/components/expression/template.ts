import * as z from "zod";
import type { SettingProblem } from "../../pipeline/catalog.ts";
import { checkExpression } from "./check-expression.ts";
import type { Expression, ExpressionCompiler, ExpressionScope } from "./expression.ts";
import { toJson } from "./to-json.ts";

/** A JSON value in which every text is an expression: `{ magnitude: payload.mag, tags: ["'quake'"], version: 2 }`. */
export type Template = string | number | boolean | null | readonly Template[] | { readonly [key: string]: Template };

export const templateSchema: z.ZodType<Template> = z.lazy(() =>
  z.union([
    z.string(),
    z.number(),
    z.boolean(),
    z.null(),
    z.array(templateSchema),
    z.record(z.string(), templateSchema),
  ]),
);

/** One problem for each expression of the template that does not compile. */
export function checkTemplate(
  compiler: ExpressionCompiler,
  template: Template,
  path: readonly (string | number)[],
): SettingProblem[] {
  if (typeof template === "string") return checkExpression(compiler, template, { path });
  if (typeof template !== "object" || template === null) return [];
  if (Array.isArray(template)) {
    return (template as readonly Template[]).flatMap((item, index) => checkTemplate(compiler, item, [...path, index]));
  }
  return Object.entries(template).flatMap(([key, item]) => [
    ...(key === "__proto__" ? [{ path: [...path, key], message: "a field cannot be called __proto__" }] : []),
    ...checkTemplate(compiler, item, [...path, key]),
  ]);
}

/** A compiled template. */
export interface Renderer {
  /** The JSON value for this scope. Fields whose expression gives no value are left out. */
  render(scope: ExpressionScope): unknown;
}

/** Throws `components/bad-expression` for what `checkTemplate` reports. */
export function compileTemplate(compiler: ExpressionCompiler, template: Template): Renderer {
  if (typeof template === "string") return new ExpressionRenderer(compiler.mustCompile(template));
  if (typeof template !== "object" || template === null) return new LiteralRenderer(template);
  if (Array.isArray(template)) {
    return new ListRenderer((template as readonly Template[]).map((item) => compileTemplate(compiler, item)));
  }
  const entries = Object.entries(template);
  return new RecordRenderer(
    entries.map(([key]) => key),
    entries.map(([, item]) => compileTemplate(compiler, item)),
  );
}

class ExpressionRenderer implements Renderer {
  readonly #expression: Expression;
  constructor(expression: Expression) {
    this.#expression = expression;
  }
  render(scope: ExpressionScope): unknown {
    return toJson(this.#expression.evaluate(scope));
  }
}

class LiteralRenderer implements Renderer {
  readonly #value: unknown;
  constructor(value: unknown) {
    this.#value = value;
  }
  render(): unknown {
    return this.#value;
  }
}

class ListRenderer implements Renderer {
  readonly #items: readonly Renderer[];
  constructor(items: readonly Renderer[]) {
    this.#items = items;
  }
  render(scope: ExpressionScope): unknown {
    return this.#items.map((item) => item.render(scope));
  }
}

class RecordRenderer implements Renderer {
  readonly #keys: readonly string[];
  readonly #values: readonly Renderer[];
  constructor(keys: readonly string[], values: readonly Renderer[]) {
    this.#keys = keys;
    this.#values = values;
  }
  render(scope: ExpressionScope): Record<string, unknown> {
    const record: Record<string, unknown> = {};
    for (let i = 0; i < this.#keys.length; i++) record[this.#keys[i]!] = this.#values[i]!.render(scope);
    return record;
  }
}
