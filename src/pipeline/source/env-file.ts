import { parse } from "dotenv";
import { interpolate } from "./interpolate.ts";

type Lookup = (variable: string) => string | undefined;

/**
 * The variables of a `.env` file. Values refer to earlier ones and to what `lookup` knows, which wins, as in Compose;
 * single-quoted values stay as they are. Never throws.
 */
export function parseEnvFile(text: string, lookup: Lookup): ReadonlyMap<string, string> {
  const variables = new Map<string, string>();
  for (const [key, value] of Object.entries(parse(text))) {
    const literal = !value.includes("$") || isSingleQuoted(text, key);
    const resolved = literal ? value : interpolate(value, (name) => lookup(name) ?? variables.get(name)).value;
    variables.set(key, resolved);
  }
  return variables;
}

function isSingleQuoted(text: string, key: string): boolean {
  const escaped = key.replaceAll(/[.\\-]/g, "\\$&");
  return new RegExp(`^\\s*(?:export\\s+)?${escaped}\\s*[=:]\\s*'`, "m").test(text);
}
