import { Ring } from "../ring.ts";

interface Run<Owner> {
  readonly owner: Owner;
  first: number;
  count: number;
}

/** A queue of log positions, each of some owner's log, that keeps those that follow each other as one entry. */
export class Runs<Owner> {
  private readonly runs = new Ring<Run<Owner>>(16);
  private last: Run<Owner> | undefined;
  private total = 0;

  /** How many positions there are. */
  get length(): number {
    return this.total;
  }

  /** Adds `count` positions from `first` on. */
  push(owner: Owner, first: number, count: number): void {
    this.total += count;
    const { last } = this;
    if (last !== undefined && last.count > 0 && last.first + last.count === first && last.owner === owner) {
      last.count += count;
      return;
    }
    this.last = { owner, first, count };
    this.runs.push(this.last);
  }

  /** Removes positions from the front, `count` of them, and shows each run; there must be as many. */
  shift(count: number, each: (owner: Owner, first: number, count: number) => void): void {
    let left = count;
    while (left > 0) {
      const run = this.runs.at(0);
      const { owner, first } = run;
      const taken = Math.min(left, run.count);
      run.first += taken;
      run.count -= taken;
      if (run.count === 0) this.runs.shift();
      left -= taken;
      this.total -= taken;
      each(owner, first, taken);
    }
  }

  /** Shows each run, from the front. */
  forEach(each: (owner: Owner, first: number, count: number) => void): void {
    for (let i = 0; i < this.runs.length; i++) {
      const { owner, first, count } = this.runs.at(i);
      each(owner, first, count);
    }
  }

  /** Whether one of the runs is as asked; looks from the front, and no further than that. */
  some(isSo: (owner: Owner, first: number, count: number) => boolean): boolean {
    for (let i = 0; i < this.runs.length; i++) {
      const { owner, first, count } = this.runs.at(i);
      if (count > 0 && isSo(owner, first, count)) return true;
    }
    return false;
  }

  /** The position at `index` from the front, 0 to length - 1, and whose it is. */
  at(index: number): { readonly owner: Owner; readonly position: number } {
    let left = index;
    for (let i = 0; i < this.runs.length; i++) {
      const { owner, first, count } = this.runs.at(i);
      if (left < count) return { owner, position: first + left };
      left -= count;
    }
    throw new RangeError(`there is no position at ${index}`);
  }
}
