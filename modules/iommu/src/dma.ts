/** The DMA API. Mirrors `kernel/dma/{mapping,direct}.c` and `drivers/iommu/dma-iommu.c` (Linux 6.1). */
import { KernelError } from '@vdpalab/abi';
import type { Ram } from '@vdpalab/abi';
import type { Device } from '@vdpalab/driver-core';
import type { MmSymbols } from '@vdpalab/mm';
import { DmaState } from './dma-state.ts';
import type { DmaDevices, DmaIova } from './dma-state.ts';
import type { Domain } from './domain.ts';
import type { DmaDirection, IommuSymbols } from './header.ts';
import { hex, offsetInPage, PAGE_SIZE } from './page.ts';

const MASK_32 = 0xffff_ffff;
/** Masks below are refused: the smallest zone of memory that can be allocated from is 16 MiB. */
const MASK_24 = 0xff_ffff;

/** `IOMMU_READ` 1 and `IOMMU_WRITE` 2 of each direction; `dma_info_to_prot`. */
const prot: Readonly<Record<DmaDirection, number>> = {
  DMA_TO_DEVICE: 1,
  DMA_FROM_DEVICE: 2,
  DMA_BIDIRECTIONAL: 3,
};

type DmaSymbols = Pick<IommuSymbols,
  'dma_set_mask_and_coherent' | 'dma_alloc_coherent' | 'dma_free_coherent' | 'dma_map_single' | 'dma_unmap_single'
  | 'set_dma_ops' | 'dma_mappings'>;

/** What the DMA API needs. */
export interface DmaDeps {
  readonly ram: Ram;
  /** The domain that DMA API mappings of a device live in; `null` when its bus addresses are physical. */
  readonly domainOf: (dev: Device) => Domain | null;
  readonly mm: Pick<MmSymbols, 'alloc_pages' | 'free_pages'>;
  readonly devices: Pick<DmaDevices, 'setOps'>;
}

/** Make the DMA API of one kernel. */
export function createDmaApi({ ram, domainOf, mm, devices }: DmaDeps): DmaSymbols {
  /** @returns the bus address of `[pa, pa + size)` */
  function map(dev: Device, pa: number, size: number, dir: DmaDirection, coherent: boolean): number {
    const state = stateOf(dev);
    if (!(size > 0)) throw new Error(`${dev.name}: DMA mapping of ${size} bytes`);
    if (state.ops !== null) {
      const { ops } = state;
      const dma = coherent && ops.map_coherent !== undefined ? ops.map_coherent(dev, pa, size) : ops.map_page(dev, pa, size, dir);
      state.add({ dma, size, coherent, iova: null });
      return dma;
    }
    const domain = domainOf(dev);
    if (domain === null) {
      if (pa + size - 1 > state.mask) {
        throw new KernelError('ENOMEM', 'dma.map.mask',
          `${dev.name}: ${hex(pa)} size ${hex(size)} is beyond the device's mask ${hex(state.mask)}`);
      }
      state.add({ dma: pa, size, coherent, iova: null });
      return pa;
    }
    const offset = offsetInPage(pa);
    const iova = take(dev, state, domain, Math.ceil((offset + size) / PAGE_SIZE));
    try {
      iova.table.map(iova.firstPage * PAGE_SIZE, pa - offset, iova.pages * PAGE_SIZE, prot[dir]);
    } catch (error) {
      iova.space.free(iova.firstPage, iova.pages);
      throw error;
    }
    const dma = iova.firstPage * PAGE_SIZE + offset;
    state.add({ dma, size, coherent, iova });
    return dma;
  }

  function unmap(dev: Device, dma: number, size: number, dir: DmaDirection, coherent: boolean): undefined {
    const state = stateOf(dev);
    const mapping = state.take(dma, size, coherent);
    if (mapping === null) {
      const kind = coherent ? 'coherent memory' : 'a mapping';
      throw new Error(`DMA-API: ${dev.name}: frees ${kind} it has not: address ${hex(dma)}, ${size} bytes`);
    }
    if (state.ops !== null) {
      const { ops } = state;
      return coherent && ops.unmap_coherent !== undefined ? ops.unmap_coherent(dev, dma, size) : ops.unmap_page(dev, dma, size, dir);
    }
    if (mapping.iova === null) return;
    const { table, space, firstPage, pages } = mapping.iova;
    table.unmap(firstPage * PAGE_SIZE, pages * PAGE_SIZE);
    space.free(firstPage, pages);
  }

  return {
    dma_set_mask_and_coherent(dev, mask) {
      const state = stateOf(dev);
      if (state.ops !== null) {
        state.mask = mask;
        return;
      }
      const needed = domainOf(dev) === null ? Math.max(MASK_24, lastAddress(ram)) : MASK_24;
      if (mask < needed) {
        throw new KernelError('EIO', 'dma.mask.unsupported',
          `${dev.name}: mask ${hex(mask)} does not reach ${hex(needed)}`);
      }
      state.mask = mask;
    },
    dma_alloc_coherent(dev, size) {
      const run = mm.alloc_pages(Math.ceil(size / PAGE_SIZE));
      try {
        return { dma: map(dev, run.pa, size, 'DMA_BIDIRECTIONAL', true), run, size };
      } catch (error) {
        mm.free_pages(run);
        throw error;
      }
    },
    dma_free_coherent(dev, { dma, size, run }) {
      unmap(dev, dma, size, 'DMA_BIDIRECTIONAL', true);
      mm.free_pages(run);
    },
    dma_map_single: (dev, pa, size, dir) => map(dev, pa, size, dir, false),
    dma_unmap_single: (dev, dma, size, dir) => unmap(dev, dma, size, dir, false),
    set_dma_ops: (dev, ops) => devices.setOps(dev, ops),
    dma_mappings: (dev) => (dev.dma === null ? [] : stateOf(dev).list()),
  };
}

/** Reserve IOVA pages below 4 GiB if there are any, else as high as the device reaches; `iommu_dma_alloc_iova`. */
function take(dev: Device, state: DmaState, domain: Domain, pages: number): DmaIova {
  const space = domain.iova;
  const limit = Math.min(state.mask, domain.aperture_end);
  let firstPage = limit > MASK_32 ? space.alloc(pages, lastPage(MASK_32)) : -1;
  if (firstPage < 0) firstPage = space.alloc(pages, lastPage(limit));
  if (firstPage < 0) {
    throw new KernelError('ENOMEM', 'dma.map.iova',
      `${dev.name}: no ${pages} IOVA pages at or below ${hex(limit)}; ${space.used} are in use`);
  }
  return { space, table: domain.table!, firstPage, pages };
}

/** The last whole page at or below an address. */
function lastPage(address: number): number {
  return Math.floor((address + 1) / PAGE_SIZE) - 1;
}

function stateOf(dev: Device): DmaState {
  if (dev.dma instanceof DmaState) return dev.dma;
  throw new Error(`${dev.name}: DMA by a device without a DMA mask: its driver calls dma_set_mask_and_coherent first`);
}

function lastAddress(ram: Ram): number {
  return ram.regions.reduce((last, region) => Math.max(last, region.base + region.size - 1), 0);
}
