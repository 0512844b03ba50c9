/** `1 event`, `2 events`: a number of what `noun` names, for people. `shown` is the number as it is to be written. */
export function counted(count: number, noun: string, shown = String(count)): string {
  return `${shown} ${noun}${count === 1 ? "" : "s"}`;
}
