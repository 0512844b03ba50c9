/** The object without the keys whose value is undefined. */
export function withoutUndefined<T extends object>(value: { [K in keyof T]: T[K] | undefined }): T {
  return Object.fromEntries(Object.entries(value).filter(([, item]) => item !== undefined)) as T;
}

/** The boolean of a flag that may be written as a text. */
export function isTrue(flag: boolean | string | undefined, otherwise = false): boolean {
  return flag === undefined ? otherwise : flag === true || flag === "true";
}

/** The number of a value that may be written as a text. */
export function numberOf(value: number | string | undefined): number | undefined {
  return value === undefined ? undefined : Number(value);
}
