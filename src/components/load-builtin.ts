import { builtinKey } from "../pipeline/catalog.ts";
import type { ComponentType } from "../pipeline/pipeline.ts";
import { type ComponentDefinition, FlowctlError } from "../sdk/index.ts";
import { builtins } from "./builtins.ts";

/** The implementation of a built-in, loaded when it is asked for. Rejects with `components/unknown-builtin`. */
export async function loadBuiltin(type: ComponentType, name: string): Promise<ComponentDefinition> {
  const key = builtinKey(type, name);
  const builtin = Object.hasOwn(builtins, key) ? builtins[key] : undefined;
  if (builtin !== undefined) return builtin.program();
  throw new FlowctlError({
    code: "components/unknown-builtin",
    kind: "not-found",
    message: `unknown built-in ${type} '${name}'`,
    fix: `use one of ${Object.keys(builtins).join(", ")}`,
  });
}
