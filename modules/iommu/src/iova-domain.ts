/** Bus addresses for drivers that translate by themselves. Mirrors `include/linux/iova.h` (Linux 6.1). */
import type { IommuSymbols, IovaDomain } from './header.ts';
import { IovaSpace } from './iova.ts';

/** Granules of a space. */
const GRANULES = 2 ** 32;
/** Ranges of one size that are kept at hand: a driver maps the same few sizes again and again. */
const KEPT = 128;

/** `struct iova_domain` with its ranges. */
class Space implements IovaDomain {
  readonly granule: number;
  readonly start_pfn: number;
  readonly space = new IovaSpace(GRANULES);
  /** Granules of each range, by its first. */
  readonly sizes = new Map<number, number>();
  /** Free ranges at hand, by size: taken in the space, and nobody's. */
  readonly #kept = new Map<number, number[]>();
  #keptGranules = 0;

  constructor(granule: number, startPfn: number) {
    this.granule = granule;
    this.start_pfn = startPfn;
    if (startPfn > 0) this.space.reserve(0, startPfn - 1);
  }

  get used(): number {
    return this.space.used - this.#keptGranules;
  }

  /** @returns the first granule, -1 when there is no room */
  take(size: number, limit: number): number {
    const kept = this.#kept.get(size);
    const at = kept?.at(-1);
    if (kept !== undefined && at !== undefined && at + size - 1 <= limit) {
      kept.pop();
      this.#keptGranules -= size;
      return at;
    }
    const pfn = this.space.alloc(size, limit);
    return pfn < 0 && this.#keptGranules > 0 ? this.#retry(size, limit) : pfn;
  }

  give(pfn: number, size: number): void {
    const kept = this.#kept.get(size) ?? [];
    if (kept.length >= KEPT) return void this.space.free(pfn, size);
    if (kept.length === 0) this.#kept.set(size, kept);
    kept.push(pfn);
    this.#keptGranules += size;
  }

  #retry(size: number, limit: number): number {
    for (const [length, kept] of this.#kept) for (const pfn of kept) this.space.free(pfn, length);
    this.#kept.clear();
    this.#keptGranules = 0;
    return this.space.alloc(size, limit);
  }
}

function own(iovad: IovaDomain): Space {
  if (!(iovad instanceof Space)) throw new TypeError('not an iova domain of this kernel');
  return iovad;
}

/** The symbols. */
export const iovaDomains: Pick<IommuSymbols, 'init_iova_domain' | 'alloc_iova' | 'free_iova' | 'put_iova_domain'> = {
  init_iova_domain: (granule, startPfn) => new Space(granule, startPfn),
  alloc_iova(iovad, size, limitPfn) {
    const space = own(iovad);
    const pfn = space.take(size, Math.min(limitPfn, GRANULES - 1));
    if (pfn < 0) return null;
    space.sizes.set(pfn, size);
    return pfn;
  },
  free_iova(iovad, pfn) {
    const space = own(iovad);
    const size = space.sizes.get(pfn);
    if (size === undefined) return;
    space.sizes.delete(pfn);
    space.give(pfn, size);
  },
  put_iova_domain(iovad) {
    own(iovad).sizes.clear();
    return undefined;
  },
};
