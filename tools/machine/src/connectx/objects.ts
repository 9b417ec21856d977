/** Objects that commands make, by number. */
import { Refusal } from './refusal.ts';

/** Objects of one kind; numbers are used again, lowest first. */
export class ObjectTable<T> {
  private readonly byNumber = new Map<number, T>();
  private readonly first: number;
  private readonly last: number;

  /** @param first, last numbers that can be given */
  constructor(first: number, last: number) {
    this.first = first;
    this.last = last;
  }

  get size(): number {
    return this.byNumber.size;
  }

  /** @throws Refusal NO_RES when all numbers are taken */
  add(make: (number: number) => T): number {
    let number = this.first;
    while (this.byNumber.has(number)) number++;
    if (number > this.last) throw new Refusal('object.none-left');
    this.byNumber.set(number, make(number));
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
    return object;
  }

  clear(): undefined {
    this.byNumber.clear();
  }

  values(): IterableIterator<T> {
    return this.byNumber.values();
  }
}
