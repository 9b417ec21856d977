/** Memory for queues and doorbell records. Mirrors `alloc.c` (Linux 6.1). */
import type { DmaCoherent } from '@vdpalab/iommu';
import { setBe32At } from '@vdpalab/uapi';
import type { CoreDev } from './core-dev.ts';
import type { Mlx5Db, Mlx5FragBuf } from './header.ts';

const PAGE_SIZE = 4096;

/** Addresses of the pages, 64 bits each. @param at byte of `input` @see `mlx5_fill_page_frag_array` */
export function fillPages(mem: DmaCoherent, input: Uint8Array, at: number): undefined {
  for (let page = 0; page < mem.run.pages; page++) {
    const dma = mem.dma + page * PAGE_SIZE;
    setBe32At(input, at + 8 * page, Math.floor(dma / 2 ** 32));
    setBe32At(input, at + 8 * page + 4, dma % 2 ** 32);
  }
}

/** @throws ENOMEM @see `mlx5_frag_buf_alloc_node` */
export function fragBufAlloc({ k, pdev }: CoreDev, size: number): Mlx5FragBuf {
  const mem = k.dma_alloc_coherent(pdev.dev, size);
  return { mem, size, npages: mem.run.pages };
}

export function fragBufFree({ k, pdev }: CoreDev, buf: Mlx5FragBuf): undefined {
  return k.dma_free_coherent(pdev.dev, buf.mem);
}

/** A doorbell record with a page of its own. @throws ENOMEM @see `mlx5_db_alloc` */
export class Db implements Mlx5Db {
  readonly db: Uint8Array;
  readonly #mem: DmaCoherent;

  constructor({ k, pdev }: CoreDev) {
    this.#mem = k.dma_alloc_coherent(pdev.dev, 8);
    this.db = k.phys_view(this.#mem.run.pa, 8);
  }

  get dma(): number {
    return this.#mem.dma;
  }

  free({ k, pdev }: CoreDev): undefined {
    return k.dma_free_coherent(pdev.dev, this.#mem);
  }
}
