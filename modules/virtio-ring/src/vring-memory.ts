/** Memory of one ring: coherent pages with the three areas, and tables for indirect buffers. */
import { isKernelError } from '@vdpalab/abi';
import type { Atomic } from '@vdpalab/abi';
import type { Device } from '@vdpalab/driver-core';
import type { DmaCoherent, IommuSymbols } from '@vdpalab/iommu';
import type { MmSymbols } from '@vdpalab/mm';
import { vring_avail_size, vring_desc_table_size, vring_used_size } from '@vdpalab/uapi';
import { splitRingIn, type IndirectPool, type RingMemory, type SplitRingAreas } from '@vdpalab/vring';
import type { VringInit } from './header.ts';

/** What ring memory takes. */
export type MemorySymbols = Pick<IommuSymbols, 'dma_alloc_coherent' | 'dma_free_coherent'> & Pick<MmSymbols, 'phys_view'>;

/** Descriptors in one indirect table: enough for a header and the pages of a large frame. */
const INDIRECT_SEGMENTS = 18;

/** Addresses a device sees, and the views the driver writes through. */
export interface VringMemory {
  readonly num: number;
  readonly areas: SplitRingAreas;
  readonly indirect: IndirectPool | null;
  readonly desc: number;
  readonly avail: number;
  readonly used: number;
  free: () => Atomic;
}

function ringMemory(u8: Uint8Array): RingMemory {
  const { buffer, byteOffset, length } = u8;
  return {
    memory: null, buffer, byteOffset, u8,
    u16: new Uint16Array(buffer, byteOffset, length >>> 1),
    u32: new Uint32Array(buffer, byteOffset, length >>> 2),
  };
}

/** Bytes of a ring by the legacy layout rule. */
function ringBytes(num: number, align: number): number {
  const driver = vring_desc_table_size(num) + vring_avail_size(num);
  return Math.ceil(driver / align) * align + vring_used_size(num);
}

/**
 * Allocate a ring, smaller by halves when memory is short and the transport allows it.
 *
 * @param indirect whether indirect tables are wanted
 * @throws ENOMEM
 */
export function allocVring(k: MemorySymbols, init: VringInit, indirect: boolean): VringMemory {
  for (let { num } = init; ; num >>>= 1) {
    let ring: DmaCoherent;
    try {
      ring = k.dma_alloc_coherent(init.dma_dev, ringBytes(num, init.align));
    } catch (error) {
      if (init.may_reduce_num && num > 1 && isKernelError(error) && error.errno === 'ENOMEM') continue;
      throw error;
    }
    try {
      return layOut(k, init.dma_dev, ring, num, init.align, indirect);
    } catch (error) {
      k.dma_free_coherent(init.dma_dev, ring);
      throw error;
    }
  }
}

function layOut(k: MemorySymbols, dev: Device, ring: DmaCoherent, num: number, align: number, indirect: boolean): VringMemory {
  const areas = splitRingIn(ringMemory(k.phys_view(ring.run.pa, ring.size)), 0, num, align);
  const table = indirect ? k.dma_alloc_coherent(dev, num * INDIRECT_SEGMENTS * 16) : null;
  const pool: IndirectPool | null = table === null ? null : {
    area: { memory: ringMemory(k.phys_view(table.run.pa, table.size)), offset: 0 },
    busLo: table.dma >>> 0,
    busHi: Math.floor(table.dma / 2 ** 32),
    segments: INDIRECT_SEGMENTS,
  };
  return {
    num, areas, indirect: pool,
    desc: ring.dma + areas.desc.offset,
    avail: ring.dma + areas.avail.offset,
    used: ring.dma + areas.used.offset,
    free() {
      if (table !== null) k.dma_free_coherent(dev, table);
      return k.dma_free_coherent(dev, ring);
    },
  };
}
