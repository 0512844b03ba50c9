/**
 * CEL has a constant `type` (the type of types), which nobody compares an event with, and every event has a type. So
 * `type` standing alone means the event's; `type(x)` stays CEL's function.
 */
const variable = "event_type";

/** The name under which a variable is registered and looked up. */
export function typeVariable(name: string): string {
  return name === "type" ? variable : name;
}

interface Node {
  op: string;
  args: unknown;
}

/** Makes `type` in a parsed expression mean the variable. To be called before the first check of that expression. */
export function readTypeAsVariable(ast: unknown): void {
  if (Array.isArray(ast)) {
    for (const part of ast) readTypeAsVariable(part);
    return;
  }
  if (!isNode(ast)) return;
  if (ast.op === "id" && ast.args === "type") ast.args = variable;
  else readTypeAsVariable(ast.args);
}

function isNode(value: unknown): value is Node {
  return typeof value === "object" && value !== null && "op" in value && "args" in value;
}
