import { ExpressionCompiler, type ExtraFunctions } from "../expression/expression.ts";

/** What the expressions of a generator's template can name, with the sentence the docs say about it. */
export const generatorVariables = {
  sequence: { type: "int", describes: "the sequence number of the event, starting at 1" },
  now: { type: "google.protobuf.Timestamp", describes: "the time at which the event is created" },
} as const;

/** What the expressions of a generator's template can call, with the sentence the docs say about it. */
export const generatorFunctions = {
  "random(): double": "a number ≥ 0 and < 1; the same for the same seed, sequence number and position in the template",
  "random_int(int, int): int": "an integer between the two, both inclusive",
  "pick(list<dyn>): dyn": "a random item of the list",
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
