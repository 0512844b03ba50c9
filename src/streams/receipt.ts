/** Told when every group that wants an event has acknowledged it. */
export interface Receipt {
  /** Called once for each event that was published with this receipt, with the tag that it was published with. */
  settle(tag: number): void;
  /**
   * Called instead for `count` events in a row whose tags follow each other. Must not publish anything. Left out: `settle` is
   * called for each.
   */
  settleRun?(first: number, count: number): void;
}
