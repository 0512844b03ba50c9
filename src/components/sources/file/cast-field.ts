const number = /^-?(?:0|[1-9]\d*)(?:\.\d+)?(?:[eE][+-]?\d+)?$/;

/**
 * What an unquoted CSV field says: a number, true or false, null when it is empty, else text. Digits that a number would
 * change (a leading zero, more than it can hold) stay text, and so do quoted fields and the names of the fields.
 */
export function castField(
  text: string,
  context: { readonly quoting: boolean; readonly header: boolean },
): string | number | boolean | null {
  if (context.header || context.quoting) return text;
  if (text === "") return null;
  if (text === "true") return true;
  if (text === "false") return false;
  if (!number.test(text)) return text;
  const value = Number(text);
  if (!Number.isFinite(value) || (Number.isInteger(value) && !Number.isSafeInteger(value))) return text;
  return value;
}
