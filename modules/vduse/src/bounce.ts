/**
 * Pages between drivers of this kernel and the process that is the device: what a driver maps is copied through them, so
 * that the process sees these pages and no others. Mirrors the bounce maps of `drivers/vdpa/vdpa_user/iova_domain.c`
 * (Linux 6.1).
 */
import type { Atomic } from '@vdpalab/abi';
import type { DmaDirection } from '@vdpalab/iommu';
import type { MmSymbols, PageRun } from '@vdpalab/mm';

const PAGE_SIZE = 4096;

/** `struct vduse_bounce_map` */
interface BouncePage {
  /** Physical address of the page the process sees. */
  readonly pa: number;
  /** Its own, to be freed; a page of registered user memory otherwise. */
  readonly own: PageRun | null;
}

/** What bouncing takes. */
export type BounceSymbols = Pick<MmSymbols, 'alloc_pages' | 'free_pages' | 'phys_view'>;

/** The pages of one device, by page number of the IOVA. */
export class BouncePages {
  readonly #k: BounceSymbols;
  readonly #pages = new Map<number, BouncePage>();
  /** Physical address that is mapped at a page now. */
  readonly #origins = new Map<number, number>();
  /** Registered user memory, one address per page; null without. */
  #user: readonly number[] | null = null;

  constructor(k: BounceSymbols) {
    this.#k = k;
  }

  /** `vduse_domain_map_bounce_page`: the original of each page from `iova` on. @throws ENOMEM, nothing is mapped then */
  map(iova: number, pa: number, size: number): Atomic {
    const first = iova / PAGE_SIZE;
    const count = Math.ceil(size / PAGE_SIZE);
    for (let page = first; page < first + count; page++) this.#ensure(page);
    for (let n = 0; n < count; n++) this.#origins.set(first + n, pa + n * PAGE_SIZE);
    return undefined;
  }

  unmap(iova: number, size: number): Atomic {
    const first = iova / PAGE_SIZE;
    for (let page = first; page < first + Math.ceil(size / PAGE_SIZE); page++) this.#origins.delete(page);
    return undefined;
  }

  /** `vduse_domain_bounce`: copy the range to the process's pages, or back from them. */
  copy(iova: number, size: number, dir: DmaDirection): Atomic {
    for (let at = 0; at < size;) {
      const page = (iova + at) / PAGE_SIZE | 0;
      const within = (iova + at) % PAGE_SIZE;
      const n = Math.min(PAGE_SIZE - within, size - at);
      const origin = this.#origins.get(page);
      const bounce = this.#pages.get(page);
      if (origin !== undefined && bounce !== undefined) {
        const [outside, inside] = [this.#k.phys_view(origin + within, n), this.#k.phys_view(bounce.pa + within, n)];
        if (dir === 'DMA_TO_DEVICE') inside.set(outside);
        else outside.set(inside);
      }
      at += n;
    }
    return undefined;
  }

  /** Physical address of the page at an IOVA; null when nothing was ever mapped there. */
  pageAt(page: number): number | null {
    return this.#pages.get(page)?.pa ?? null;
  }

  /** `vduse_domain_add_user_bounce_pages`: from now on these are the pages; what was in the old ones is kept. */
  useMemory(pages: readonly number[]): Atomic {
    this.#user = pages;
    for (const [page, old] of this.#pages) this.#replace(page, old, { pa: pages[page] as number, own: null }); // as many as there are pages
    return undefined;
  }

  /** `vduse_domain_remove_user_bounce_pages`: pages of our own again. @throws ENOMEM, the memory is still in use then */
  leaveMemory(): Atomic {
    const fresh = new Map<number, PageRun>();
    try {
      for (const page of this.#pages.keys()) fresh.set(page, this.#k.alloc_pages(1));
    } catch (error) {
      for (const run of fresh.values()) this.#k.free_pages(run);
      throw error;
    }
    this.#user = null;
    for (const [page, old] of this.#pages) {
      const own = fresh.get(page) as PageRun; // one for each
      this.#replace(page, old, { pa: own.pa, own });
    }
    return undefined;
  }

  /** Give all pages back. */
  free(): Atomic {
    for (const { own } of this.#pages.values()) if (own !== null) this.#k.free_pages(own);
    this.#pages.clear();
    this.#origins.clear();
    return undefined;
  }

  #ensure(page: number): void {
    if (this.#pages.has(page)) return;
    if (this.#user !== null) {
      this.#pages.set(page, { pa: this.#user[page] as number, own: null }); // as many as there are pages
      return;
    }
    const own = this.#k.alloc_pages(1);
    this.#pages.set(page, { pa: own.pa, own });
  }

  #replace(page: number, old: BouncePage, next: BouncePage): void {
    this.#k.phys_view(next.pa, PAGE_SIZE).set(this.#k.phys_view(old.pa, PAGE_SIZE));
    this.#pages.set(page, next);
    if (old.own !== null) this.#k.free_pages(old.own);
  }
}
