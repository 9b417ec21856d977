/** Small numbers for objects: the lowest free one first. Mirrors the IDA of `lib/idr.c` (Linux 6.1). */
import { KernelError } from '@vdpalab/abi';
import type { Atomic } from '@vdpalab/abi';
import type { Ida } from './header.ts';

/** Numbers given back, the lowest on top: a binary heap. */
class Heap {
  readonly #items: number[] = [];

  get lowest(): number | undefined {
    return this.#items[0];
  }

  push(n: number): void {
    const items = this.#items;
    let at = items.length;
    for (let up = (at - 1) >> 1; at > 0 && (items[up] as number) > n; up = (at - 1) >> 1) { // up is inside while at is not the top
      items[at] = items[up] as number;
      at = up;
    }
    items[at] = n;
  }

  pop(): void {
    const items = this.#items;
    const last = items.pop();
    if (last === undefined || items.length === 0) return;
    let at = 0;
    for (;;) {
      let down = 2 * at + 1;
      if (down >= items.length) break;
      if (down + 1 < items.length && (items[down + 1] as number) < (items[down] as number)) down++; // both are inside
      if ((items[down] as number) >= last) break;
      items[at] = items[down] as number;
      at = down;
    }
    items[at] = last;
  }
}

/** The numbers of one kind of object. Taking and giving back take logarithmic time. */
export class IdaState implements Ida {
  readonly #free = new Heap();
  readonly #taken = new Set<number>();
  /** All numbers below were taken once. */
  #top = 0;

  get size(): number {
    return this.#taken.size;
  }

  /** @throws ENOSPC when all up to `max` are taken */
  alloc(max: number): number {
    const reused = this.#free.lowest;
    const n = reused ?? this.#top;
    if (n > max) throw new KernelError('ENOSPC', 'ida.alloc.full', `all numbers up to ${max} are taken`);
    if (reused === undefined) this.#top++;
    else this.#free.pop();
    this.#taken.add(n);
    return n;
  }

  free(n: number): Atomic {
    if (!this.#taken.delete(n)) throw new Error(`ida: ${n} is given back, but not taken`);
    return void this.#free.push(n) as undefined;
  }
}

/** The numbers of this kernel behind an {@link Ida}. */
export function idaState(ida: Ida): IdaState {
  if (ida instanceof IdaState) return ida;
  throw new Error('numbers that are not of this kernel');
}
