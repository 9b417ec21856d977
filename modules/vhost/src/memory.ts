/** SET_MEM_TABLE. Mirrors `vhost_set_memory` in `drivers/vhost/vhost.c` (Linux 6.1). */
import { foldError, isKernelError, KernelError } from '@vdpalab/abi';
import type { Process } from '@vdpalab/fs';
import { VHOST_ACCESS_RW, VHOST_IOTLB_FLAG_RETIRE, vhost_memory, vhost_memory_region } from '@vdpalab/uapi';
import type { VhostIotlb } from '@vdpalab/vhost-iotlb';
import { memoryAccessOk } from './access.ts';
import type { DevState, VhostNeeds } from './dev.ts';

const U64_MAX = (1n << 64n) - 1n;

/** Sizes a table may have. */
export interface MemoryLimits {
  /** Regions of one table. */
  readonly max_mem_regions: number;
  /** Entries the table is kept in; what is over drops the oldest. */
  readonly max_iotlb_entries: number;
}

function readRegions(k: VhostNeeds, table: VhostIotlb, arg: number, count: number, proc: Process): void {
  const bytes = proc.mm.read(arg + vhost_memory.size, count * vhost_memory_region.size);
  for (let i = 0; i < count; i++) {
    const at = i * vhost_memory_region.size;
    const region = vhost_memory_region.decode(bytes.slice(at, at + vhost_memory_region.size));
    const last = (region.guest_phys_addr + region.memory_size - 1n) & U64_MAX;
    k.vhost_iotlb_add_range(table, region.guest_phys_addr, last, region.userspace_addr, VHOST_ACCESS_RW);
  }
}

/**
 * Take a memory table. Devices that map through the IOTLB never look at it.
 *
 * @throws EFAULT for memory that cannot be read, for a region that ends before it starts, and for one that is not user
 *   space's while a queue has a backend; EOPNOTSUPP E2BIG
 */
export function setMemory(k: VhostNeeds, dev: DevState, limits: MemoryLimits, arg: number, proc: Process): void {
  const { nregions, padding } = vhost_memory.decode(proc.mm.read(arg, vhost_memory.size));
  if (padding !== 0) throw new KernelError('EOPNOTSUPP', 'vhost.memory.padding', `padding 0x${padding.toString(16)}`);
  if (nregions > limits.max_mem_regions) {
    throw new KernelError('E2BIG', 'vhost.memory.regions', `${nregions} regions of at most ${limits.max_mem_regions}`);
  }
  const table = k.vhost_iotlb_alloc(limits.max_iotlb_entries, VHOST_IOTLB_FLAG_RETIRE);
  try {
    readRegions(k, table, arg, nregions, proc);
    if (!memoryAccessOk(k, dev.vqs, table)) throw new KernelError('EFAULT', 'vhost.memory.access', 'a region or its log is not in user space');
  } catch (error) {
    k.vhost_iotlb_free(table);
    if (!isKernelError(error)) throw error;
    throw foldError('EFAULT', 'vhost.memory.region', error.message, error);
  }
  if (dev.umem !== null) k.vhost_iotlb_free(dev.umem);
  dev.umem = table;
}
