/** A queue in a ring that grows: push at the back, shift at the front, look at any place. No allocation per element. */
export class Ring<T> {
  private items: (T | undefined)[];
  private head = 0;
  private count = 0;

  /** @param capacity Initial capacity; a power of two. */
  constructor(capacity = 64) {
    this.items = new Array<T | undefined>(capacity);
  }

  get length(): number {
    return this.count;
  }

  push(value: T): void {
    if (this.count === this.items.length) this.grow();
    this.items[(this.head + this.count) & (this.items.length - 1)] = value;
    this.count++;
  }

  /** Removes and returns the first; throws RangeError when there is none. */
  shift(): T {
    if (this.count === 0) throw new RangeError("the ring is empty");
    const value = this.items[this.head] as T;
    this.items[this.head] = undefined;
    this.head = (this.head + 1) & (this.items.length - 1);
    this.count--;
    return value;
  }

  /** Removes `count` elements, at least one, and returns the last of them; throws RangeError when there are not so many. */
  drop(count: number): T {
    if (count < 1 || count > this.count) throw new RangeError(`the ring has no ${count} elements`);
    const { items } = this;
    const mask = items.length - 1;
    const last = items[(this.head + count - 1) & mask] as T;
    for (let i = 0; i < count; i++) items[(this.head + i) & mask] = undefined;
    this.head = (this.head + count) & mask;
    this.count -= count;
    return last;
  }

  /** The element at `index` from the front, 0 to length - 1. */
  at(index: number): T {
    return this.items[(this.head + index) & (this.items.length - 1)] as T;
  }

  /** Replaces the element at `index` from the front, 0 to length - 1. */
  set(index: number, value: T): void {
    this.items[(this.head + index) & (this.items.length - 1)] = value;
  }

  private grow(): void {
    const larger = new Array<T | undefined>(this.items.length * 2);
    for (let i = 0; i < this.count; i++) larger[i] = this.at(i);
    this.items = larger;
    this.head = 0;
  }
}
