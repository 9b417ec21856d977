/** Memory of one ring: coherent pages with the three areas, and tables for indirect buffers. */
import { isKernelError } from '@vdpalab/abi';
import type { Atomic } from '@vdpalab/abi';
import type { Device } from '@vdpalab/driver-core';
import type { IommuSymbols } from '@vdpalab/iommu';
import type { MmSymbols } from '@vdpalab/mm';
import { vring_packed_desc_event, vring_size } from '@vdpalab/uapi';
import { DESC_SIZE, packedRingIn, splitRingIn, type IndirectPool, type PackedRingAreas, type RingMemory, type SplitRingAreas } from '@vdpalab/vring';
import type { VringInit } from './header.ts';

/** What ring memory takes. */
export type MemorySymbols =
  & Pick<IommuSymbols, 'dma_alloc_coherent' | 'dma_free_coherent'> & Pick<MmSymbols, 'alloc_pages' | 'free_pages' | 'phys_view'>;

const PAGE_SIZE = 4096;
/** Descriptors in one indirect table: enough for a header and the pages of a large frame. */
const INDIRECT_SEGMENTS = 18;

/** Addresses a device sees, and the views the driver writes through. */
export interface VringMemory {
  readonly num: number;
  readonly areas: SplitRingAreas | PackedRingAreas;
  readonly indirect: IndirectPool | null;
  readonly desc: number;
  /** Of a packed ring the driver's event structure. */
  readonly avail: number;
  /** Of a packed ring the device's event structure. */
  readonly used: number;
  /** All zeroes, as when it was new. */
  readonly clear: () => Atomic;
  free: () => Atomic;
}

function ringMemory(u8: Uint8Array): RingMemory {
  const { buffer, byteOffset, length } = u8;
  return {
    memory: null, buffer, byteOffset, u8,
    u16: new Uint16Array(buffer, byteOffset, length >>> 1),
    u32: new Uint32Array(buffer, byteOffset, length >>> 2),
    remote: null,
  };
}

/** What a ring is to be like. */
export interface VringShape {
  /** Whether the device's addresses are the DMA API's; physical ones otherwise. */
  readonly useDma: boolean;
  readonly packed: boolean;
  /** Whether indirect tables are wanted; without memory for them the ring does without. */
  readonly indirect: boolean;
}

/** Bytes of a ring: a split one by the legacy layout rule. */
function ringBytes(num: number, align: number, packed: boolean): number {
  return packed ? num * DESC_SIZE + 2 * vring_packed_desc_event.size : vring_size(num, align);
}

/** Zeroed memory that driver and device share. */
interface Shared {
  readonly u8: Uint8Array;
  /** Where the device sees it. */
  readonly dma: number;
  readonly free: () => Atomic;
}

/** Through the DMA API, or plain pages at their physical address: `vring_alloc_queue`. @throws ENOMEM */
function allocShared(k: MemorySymbols, dev: Device | null, size: number): Shared {
  if (dev === null) {
    const run = k.alloc_pages(Math.ceil(size / PAGE_SIZE));
    return { u8: k.phys_view(run.pa, size), dma: run.pa, free: () => k.free_pages(run) };
  }
  const mem = k.dma_alloc_coherent(dev, size);
  return { u8: k.phys_view(mem.run.pa, size), dma: mem.dma, free: () => k.dma_free_coherent(dev, mem) };
}

/** Memory, or `null` when there is none to be had. */
function tryAlloc(k: MemorySymbols, dev: Device | null, size: number): Shared | null {
  try {
    return allocShared(k, dev, size);
  } catch (error) {
    if (isKernelError(error) && error.errno === 'ENOMEM') return null;
    throw error;
  }
}

/**
 * Allocate a ring, smaller by halves when memory is short and the transport allows it.
 *
 * @throws ENOMEM
 */
export function allocVring(k: MemorySymbols, init: VringInit, { useDma, packed, indirect }: VringShape): VringMemory {
  const dev = useDma ? init.dma_dev : null;
  for (let { num } = init; ; num >>>= 1) {
    const last = !init.may_reduce_num || num === 1;
    const size = ringBytes(num, init.align, packed);
    const ring = last ? allocShared(k, dev, size) : tryAlloc(k, dev, size);
    if (ring === null) continue;
    const memory = ringMemory(ring.u8);
    const areas = packed ? packedRingIn(memory, 0, num) : splitRingIn(memory, 0, num, init.align);
    return layOut(ring, areas, indirect ? tryAlloc(k, dev, num * INDIRECT_SEGMENTS * DESC_SIZE) : null);
  }
}

function layOut(ring: Shared, areas: VringMemory['areas'], table: Shared | null): VringMemory {
  const [avail, used] = 'driver' in areas ? [areas.driver, areas.device] : [areas.avail, areas.used];
  const pool: IndirectPool | null = table === null || (table.dma % 2 ** 32) + table.u8.length > 2 ** 32 ? null : {
    area: { memory: ringMemory(table.u8), offset: 0 },
    busLo: table.dma % 2 ** 32,
    busHi: Math.floor(table.dma / 2 ** 32),
    segments: INDIRECT_SEGMENTS,
  };
  return {
    num: areas.num, areas, indirect: pool,
    desc: ring.dma + areas.desc.offset,
    avail: ring.dma + avail.offset,
    used: ring.dma + used.offset,
    clear: () => void ring.u8.fill(0) as undefined,
    free() {
      table?.free();
      return ring.free();
    },
  };
}
