import type { Publisher } from "../streams/sending/publisher.ts";

type Edges = Pick<Publisher, "drainedGroups" | "settledMarks" | "heardMark" | "awaitsMarks">;

/** Between two looks while a mark is awaited, in milliseconds: soon at first, as meanwhile events may go two ways. */
const SOON_MS = 10;
const LATER_MS = 250;

/**
 * Notices what the control plane waits for: that a group below has drained, or has acknowledged what it was owed at a mark, or that a mark was
 * heard of. It is then told at once, and not at the next heartbeat.
 */
export class EdgeNews {
  private readonly edges: Edges;
  private readonly tell: () => void;
  private drained: readonly string[] = [];
  private settled: Readonly<Record<string, number>> = {};
  private heard = 0;
  private timer: NodeJS.Timeout | undefined;
  private pauseMs = SOON_MS;

  constructor(edges: Edges, tell: () => void) {
    this.edges = edges;
    this.tell = tell;
  }

  /** The topology has changed. */
  changed(): void {
    this.pauseMs = SOON_MS;
    this.look();
  }

  /** To be called now and then. */
  look(): void {
    const drained = this.edges.drainedGroups();
    const settled = this.edges.settledMarks();
    const heard = this.edges.heardMark;
    const isNew =
      heard > this.heard ||
      drained.some((id) => !this.drained.includes(id)) ||
      Object.entries(settled).some(([id, mark]) => this.settled[id] !== mark);
    this.drained = drained;
    this.settled = settled;
    this.heard = heard;
    if (isNew) this.tell();
    if (!this.edges.awaitsMarks || this.timer !== undefined) return;
    this.timer = setTimeout(() => {
      this.timer = undefined;
      this.look();
    }, this.pauseMs).unref();
    this.pauseMs = Math.min(LATER_MS, this.pauseMs * 1.2);
  }

  close(): void {
    clearTimeout(this.timer);
  }
}
