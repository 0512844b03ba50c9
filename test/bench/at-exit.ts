/**
 * Has something undone when the process ends before the caller has undone it, whatever ends it short of SIGKILL; what was
 * done last is undone first. `undo` has to be synchronous. Returns how to call it off.
 */
export function atExit(undo: () => void): () => void {
  process.prependOnceListener("exit", undo);
  return () => void process.off("exit", undo);
}
