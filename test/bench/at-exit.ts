const pending: (() => void)[] = [];

/**
 * Has something undone when the process ends before the caller has undone it, whatever ends it short of SIGKILL; what was
 * done last is undone first. `undo` has to be synchronous. Returns how to call it off.
 */
export function atExit(undo: () => void): () => void {
  if (pending.length === 0) process.on("exit", undoAll);
  pending.push(undo);
  return () => {
    const index = pending.indexOf(undo);
    if (index >= 0) pending.splice(index, 1);
    if (pending.length === 0) process.off("exit", undoAll);
  };
}

function undoAll(): void {
  for (let undo = pending.pop(); undo !== undefined; undo = pending.pop()) undo();
}
