import { stringify } from "yaml";

/** Plain data as YAML without a final line end; what is undefined is left out. */
export function yamlText(value: unknown): string {
  return stringify(JSON.parse(JSON.stringify(value)), { aliasDuplicateObjects: false, lineWidth: 0 }).trimEnd();
}
