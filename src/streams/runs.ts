import { Ring } from "./ring.ts";

interface Run {
  first: number;
  count: number;
}

/** A queue of log positions that keeps those that follow each other as one entry. */
export class Runs {
  private readonly runs = new Ring<Run>(16);
  private last: Run | undefined;
  private total = 0;

  /** How many positions there are. */
  get length(): number {
    return this.total;
  }

  /** Adds `count` positions from `first` on. */
  push(first: number, count: number): void {
    this.total += count;
    const { last } = this;
    if (last !== undefined && last.count > 0 && last.first + last.count === first) {
      last.count += count;
      return;
    }
    this.last = { first, count };
    this.runs.push(this.last);
  }

  /** Removes positions from the front, `count` of them, and shows each run; there must be as many. */
  shift(count: number, each: (first: number, count: number) => void): void {
    let left = count;
    while (left > 0) {
      const run = this.runs.at(0);
      const { first } = run;
      const taken = Math.min(left, run.count);
      run.first += taken;
      run.count -= taken;
      if (run.count === 0) this.runs.shift();
      left -= taken;
      this.total -= taken;
      each(first, taken);
    }
  }

  /** The position at `index` from the front, 0 to length - 1. */
  at(index: number): number {
    let left = index;
    for (let i = 0; i < this.runs.length; i++) {
      const run = this.runs.at(i);
      if (left < run.count) return run.first + left;
      left -= run.count;
    }
    throw new RangeError(`there is no position at ${index}`);
  }
}
