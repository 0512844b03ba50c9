import type { Publisher } from "../streams/publisher.ts";

/** Between two looks while a mark is awaited, in milliseconds: meanwhile events may go two ways. */
const SOON_MS = 10;

/**
 * Notices that a group below has drained, or has acknowledged what it was owed at a mark, which the control plane waits for: it is then
 * told at once, and not at the next heartbeat.
 */
export class EdgeNews {
  private readonly publisher: Pick<Publisher, "drainedGroups" | "settledMarks" | "awaitsMarks">;
  private readonly tell: () => void;
  private drained: readonly string[] = [];
  private settled: Readonly<Record<string, number>> = {};
  private timer: NodeJS.Timeout | undefined;

  constructor(publisher: Pick<Publisher, "drainedGroups" | "settledMarks" | "awaitsMarks">, tell: () => void) {
    this.publisher = publisher;
    this.tell = tell;
  }

  /** To be called now and then, and when the topology has changed. */
  look(): void {
    const drained = this.publisher.drainedGroups();
    const settled = this.publisher.settledMarks();
    const isNew =
      drained.some((id) => !this.drained.includes(id)) ||
      Object.entries(settled).some(([id, mark]) => this.settled[id] !== mark);
    this.drained = drained;
    this.settled = settled;
    if (isNew) this.tell();
    if (!this.publisher.awaitsMarks) return;
    this.timer ??= setTimeout(() => {
      this.timer = undefined;
      this.look();
    }, SOON_MS).unref();
  }

  close(): void {
    clearTimeout(this.timer);
  }
}
