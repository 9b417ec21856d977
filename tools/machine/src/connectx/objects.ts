/** Objects that commands make, by number. */
import { Refusal } from './refusal.ts';

/** Objects of one kind; numbers are used again, lowest first. */
export class ObjectTable<T> {
  private readonly byNumber = new Map<number, T>();
  private readonly first: number;
  /** All numbers before it are taken. */
  private lowest: number;
  private readonly last: number;

  /** @param first, last numbers that can be given */
  constructor(first: number, last: number) {
    this.first = first;
    this.lowest = first;
    this.last = last;
  }

  get size(): number {
    return this.byNumber.size;
  }

  /** @throws Refusal NO_RES when all numbers are taken */
  add(make: (number: number) => T): number {
    let number = this.lowest;
    while (this.byNumber.has(number)) number++;
    if (number > this.last) throw new Refusal('object.none-left');
    this.byNumber.set(number, make(number));
    this.lowest = number + 1;
    return number;
  }

  has(number: number): boolean {
    return this.byNumber.has(number);
  }

  /** @throws Refusal BAD_RES when there is none */
  get(number: number): T {
    const object = this.byNumber.get(number);
    if (object === undefined) throw new Refusal('object.unknown');
    return object;
  }

  /** The object, or `undefined`. */
  peek(number: number): T | undefined {
    return this.byNumber.get(number);
  }

  /** @throws Refusal BAD_RES when there is none */
  remove(number: number): T {
    const object = this.get(number);
    this.byNumber.delete(number);
    this.lowest = Math.min(this.lowest, number);
    return object;
  }

  clear(): undefined {
    this.byNumber.clear();
    this.lowest = this.first;
  }

  values(): IterableIterator<T> {
    return this.byNumber.values();
  }
}
