/** An identifier as a statement needs it, whatever is in it. */
export function quoted(name: string): string {
  return `"${name.replaceAll('"', '""')}"`;
}

/** `table` or `schema.table`, quoted. */
export function quotedTable(table: string): string {
  return table.split(".").map(quoted).join(".");
}

/** Another table of the same schema as `table`, quoted. */
export function besideTable(table: string, name: string): string {
  return quotedTable([...table.split(".").slice(0, -1), name].join("."));
}
