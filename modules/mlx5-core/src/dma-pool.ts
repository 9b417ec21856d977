/** Blocks of memory that the device reaches, four to a page. Mirrors what `cmd.c` has of `mm/dmapool.c` (Linux 6.1). */
import type { DmaCoherent, IommuSymbols } from '@vdpalab/iommu';
import type { MmSymbols } from '@vdpalab/mm';
import type { Device } from '@vdpalab/driver-core';

/** Bytes of a block: a mailbox of 576, aligned to the next power of two. */
export const BLOCK_SIZE = 1024;
const PAGE_SIZE = 4096;

/** One block. */
export interface DmaBlock {
  /** Bus address. */
  readonly dma: number;
  readonly bytes: Uint8Array;
}

/** Blocks; pages are kept until all go. */
export class DmaPool {
  readonly #k: Pick<IommuSymbols & MmSymbols, 'dma_alloc_coherent' | 'dma_free_coherent' | 'phys_view'>;
  readonly #dev: Device;
  readonly #pages: DmaCoherent[] = [];
  readonly #free: DmaBlock[] = [];

  constructor(k: Pick<IommuSymbols & MmSymbols, 'dma_alloc_coherent' | 'dma_free_coherent' | 'phys_view'>, dev: Device) {
    this.#k = k;
    this.#dev = dev;
  }

  /** @returns a block of zeros. @throws ENOMEM */
  alloc(): DmaBlock {
    if (this.#free.length === 0) this.#grow();
    const block = this.#free.pop()!; // grown
    block.bytes.fill(0);
    return block;
  }

  free(block: DmaBlock): undefined {
    this.#free.push(block);
  }

  /** Give all memory back, blocks that were not freed included. */
  destroy(): undefined {
    for (const page of this.#pages.splice(0)) this.#k.dma_free_coherent(this.#dev, page);
    this.#free.length = 0;
  }

  #grow(): void {
    const page = this.#k.dma_alloc_coherent(this.#dev, PAGE_SIZE);
    this.#pages.push(page);
    for (let at = PAGE_SIZE - BLOCK_SIZE; at >= 0; at -= BLOCK_SIZE) {
      this.#free.push({ dma: page.dma + at, bytes: this.#k.phys_view(page.run.pa + at, BLOCK_SIZE) });
    }
  }
}
