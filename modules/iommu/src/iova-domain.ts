/** Bus addresses for drivers that translate by themselves. Mirrors `include/linux/iova.h` (Linux 6.1). */
import type { IommuSymbols, IovaDomain } from './header.ts';
import { IovaSpace } from './iova.ts';

/** Granules of a space. */
const GRANULES = 2 ** 32;

/** `struct iova_domain` with its ranges. */
class Space implements IovaDomain {
  readonly granule: number;
  readonly start_pfn: number;
  readonly space = new IovaSpace(GRANULES);
  /** Granules of each range, by its first. */
  readonly sizes = new Map<number, number>();

  constructor(granule: number, startPfn: number) {
    this.granule = granule;
    this.start_pfn = startPfn;
    if (startPfn > 0) this.space.reserve(0, startPfn - 1);
  }

  get used(): number {
    return this.space.used;
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
    const { space, sizes } = own(iovad);
    const pfn = space.alloc(size, Math.min(limitPfn, GRANULES - 1));
    if (pfn < 0) return null;
    sizes.set(pfn, size);
    return pfn;
  },
  free_iova(iovad, pfn) {
    const { space, sizes } = own(iovad);
    const size = sizes.get(pfn);
    if (size === undefined) return;
    sizes.delete(pfn);
    space.free(pfn, size);
  },
  put_iova_domain(iovad) {
    own(iovad).sizes.clear();
    return undefined;
  },
};
