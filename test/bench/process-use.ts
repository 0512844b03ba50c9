import { readFileSync } from "node:fs";

/** Time that a process has had on processors so far, in seconds; Linux counts it in hundredths. Undefined when it is gone. */
export function processorSeconds(pid: number): number | undefined {
  const fields = read(`/proc/${pid}/stat`)?.split(") ").at(-1)?.split(" ");
  return fields === undefined ? undefined : (Number(fields[11]) + Number(fields[12])) / 100;
}

/** Memory of a process that is resident, and of that what is its own: not mapped from files. In MB. */
export function residentMemory(pid: number): { readonly all: number; readonly own: number } | undefined {
  const status = read(`/proc/${pid}/status`);
  if (status === undefined) return undefined;
  const field = (name: string): number =>
    (Number(new RegExp(`${name}:\\s+(\\d+) kB`).exec(status)?.[1] ?? 0) * 1024) / 1e6;
  return { all: field("VmRSS"), own: field("RssAnon") };
}

function read(path: string): string | undefined {
  try {
    return readFileSync(path, "utf8");
  } catch {
    return undefined;
  }
}

/** How much of a processor each process used between two moments. */
export class UseWindow {
  private readonly pids: ReadonlyMap<string, number>;
  private begun: { readonly at: number; readonly seconds: ReadonlyMap<string, number> } | undefined;
  private shares: Readonly<Record<string, number>> = {};

  constructor(pids: ReadonlyMap<string, number>) {
    this.pids = pids;
  }

  /** The first call counts. */
  open(): void {
    this.begun ??= { at: performance.now(), seconds: this.read() };
  }

  close(): void {
    if (this.begun === undefined) return;
    const { at, seconds } = this.begun;
    const elapsed = (performance.now() - at) / 1000;
    const now = this.read();
    this.shares = Object.fromEntries([...now].map(([id, total]) => [id, (total - (seconds.get(id) ?? 0)) / elapsed]));
  }

  /** By what the processes are called; 1 is one processor. Processes that had ended before the window closed are left out. */
  busy(): Readonly<Record<string, number>> {
    return this.shares;
  }

  private read(): ReadonlyMap<string, number> {
    const entries = [...this.pids].map(([id, pid]) => [id, processorSeconds(pid)] as const);
    return new Map(entries.filter((entry): entry is readonly [string, number] => entry[1] !== undefined));
  }
}
