import { ExpressionCompiler, type ExtraFunctions } from "../expression/expression.ts";

/** What the expressions of a generator's template can name, with the sentence the docs say about it. */
export const generatorVariables = {
  sequence: { type: "int", describes: "number of the event, from 1" },
  now: { type: "google.protobuf.Timestamp", describes: "the time at which it is made" },
} as const;

/** What the expressions of a generator's template can call, with the sentence the docs say about it. */
export const generatorFunctions = {
  "random(): double": "at least 0, below 1; the same for the same seed, sequence number and place in the template",
  "random_int(int, int): int": "a whole number between the two, both included",
  "pick(list<dyn>): dyn": "one of the list's items",
} as const;

/** A compiler for generator templates. `random` gives numbers in [0, 1). */
export function generatorExpressions(random: () => number): ExpressionCompiler {
  const types: Record<string, string> = {};
  for (const [name, variable] of Object.entries(generatorVariables)) types[name] = variable.type;
  const functions: Record<keyof typeof generatorFunctions, ExtraFunctions[string]> = {
    "random(): double": random,
    "random_int(int, int): int": (low: bigint, high: bigint) =>
      low + BigInt(Math.floor(random() * (Number(high - low) + 1))),
    "pick(list<dyn>): dyn": (list: readonly unknown[]) => list[Math.floor(random() * list.length)] ?? null,
  };
  return new ExpressionCompiler(types, functions);
}
