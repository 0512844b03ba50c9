/**
 * Watches how far a group has settled what it is owed. A mark (see `Downstream.mark`) is a moment that the control plane numbers:
 * once everything is acknowledged that the group was owed then, the mark is settled.
 */
export class SettledMark {
  /** The last that was set, and the last that is settled; 0: none. */
  private mark = 0;
  private settled = 0;
  private isSettled: (() => boolean) | undefined;

  /**
   * What is owed now is watched until it is acknowledged. A mark that is not above the last is old, and changes nothing.
   *
   * @param watch Begins to watch; what it returns tells, whenever it is asked, whether everything is acknowledged.
   */
  set(mark: number, watch: () => () => boolean): void {
    if (mark <= this.mark) return;
    this.mark = mark;
    this.isSettled = watch();
  }

  /** The last mark that is settled; 0: there was none. */
  get last(): number {
    if (this.isSettled?.()) {
      this.isSettled = undefined;
      this.settled = this.mark;
    }
    return this.settled;
  }

  /** Whether the last mark was not settled yet when `last` was asked last. */
  get isAwaited(): boolean {
    return this.isSettled !== undefined;
  }
}
