/**
 * The text of a value as PostgreSQL reads it for a column of this type (`format_type`); null for NULL. JSON columns take any value as
 * JSON, array columns lists; objects and lists for any other column are JSON text.
 */
export function columnText(value: unknown, type: string): string | null {
  if (value === null || value === undefined) return null;
  if (type === "json" || type === "jsonb") return JSON.stringify(value);
  if (type.endsWith("[]") && Array.isArray(value)) return arrayText(value, type.slice(0, -2));
  return plainText(value);
}

function plainText(value: unknown): string {
  return typeof value === "object" ? JSON.stringify(value) : String(value);
}

/** An array as PostgreSQL writes it (https://www.postgresql.org/docs/current/arrays.html#ARRAYS-IO); lists within are its further dimensions. */
function arrayText(values: readonly unknown[], type: string): string {
  const items = values.map((value) => {
    if (value === null || value === undefined) return "NULL";
    if (Array.isArray(value) && !type.startsWith("json")) return arrayText(value, type);
    const text = columnText(value, type) ?? "";
    return `"${text.replace(/[\\"]/g, "\\$&")}"`;
  });
  return `{${items.join(",")}}`;
}

const ESCAPES: Readonly<Record<string, string>> = { "\\": "\\\\", "\n": "\\n", "\r": "\\r", "\t": "\\t" };

/** Rows as COPY reads them in its text format (https://www.postgresql.org/docs/current/sql-copy.html). */
export function copyText(columns: readonly (readonly (string | null)[])[], rows: Iterable<number>): string {
  let text = "";
  for (const row of rows) {
    for (let i = 0; i < columns.length; i++) {
      const value = columns[i]![row]!;
      if (i > 0) text += "\t";
      text +=
        value === null
          ? "\\N"
          : /[\\\n\r\t]/.test(value)
            ? value.replace(/[\\\n\r\t]/g, (one) => ESCAPES[one]!)
            : value;
    }
    text += "\n";
  }
  return text;
}
