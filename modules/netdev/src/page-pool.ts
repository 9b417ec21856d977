/** Pages for frames, kept for the next one. In place of `net/core/page_pool.c` and the slab caches (Linux 6.1). */
import type { MmSymbols, PageRun } from '@vdpalab/mm';

/** Single pages kept at most: 4 MiB. */
const KEPT = 1024;

/** A stack of single pages in front of the page allocator: a frame costs a push and a pop. */
export class PagePool {
  private readonly mm: Pick<MmSymbols, 'alloc_pages' | 'free_pages'>;
  private readonly free: PageRun[] = [];
  /** Pages in frames now. */
  used = 0;

  constructor(mm: Pick<MmSymbols, 'alloc_pages' | 'free_pages'>) {
    this.mm = mm;
  }

  /** Pages kept now. */
  get kept(): number {
    return this.free.length;
  }

  /** One page; its old contents are still there. @throws ENOMEM */
  take(): PageRun {
    const page = this.free.pop() ?? this.mm.alloc_pages(1);
    this.used++;
    return page;
  }

  give(page: PageRun): undefined {
    this.used--;
    if (this.free.length < KEPT) this.free.push(page);
    else this.mm.free_pages(page);
  }

  /** Give all that is kept back to the page allocator. */
  drain(): undefined {
    for (const page of this.free.splice(0)) this.mm.free_pages(page);
  }
}
