const units = ["", "k", "m", "g", "t", "p"];

/** Bytes of a size such as `256M`, with units that are powers of 1024; undefined when it is none. */
export function parseByteSize(value: string | number): number | undefined {
  if (typeof value === "number") return Number.isSafeInteger(value) && value >= 0 ? value : undefined;
  const match = /^(\d+(?:\.\d+)?) ?([kKmMgGtTpP]?)[iI]?[bB]?$/.exec(value);
  if (match === null) return undefined;
  const bytes = Math.round(Number(match[1]) * 1024 ** units.indexOf((match[2] ?? "").toLowerCase()));
  return Number.isSafeInteger(bytes) ? bytes : undefined;
}

/** The shortest text that `parseByteSize` reads as exactly `bytes`. */
export function formatByteSize(bytes: number): string {
  let power = 0;
  let amount = bytes;
  while (power < 4 && amount >= 1024 && amount % 1024 === 0) {
    amount /= 1024;
    power++;
  }
  return `${amount}${["b", "K", "M", "G", "T"][power]}`;
}
