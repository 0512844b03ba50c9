import { type BuiltinCatalog, builtinKey } from "../pipeline/catalog.ts";
import { builtins } from "./builtins.ts";

const specs = await Promise.all(Object.values(builtins).map(({ spec }) => spec()));

/** The specs of everything that `uses:` can name. Loading it loads no implementation. */
export const builtinCatalog: BuiltinCatalog = new Map(specs.map((spec) => [builtinKey(spec.type, spec.name), spec]));
