/** IOTLB tables. Mirrors `drivers/vhost/iotlb.c` (Linux 6.1). */
import { KernelError } from '@vdpalab/abi';
import type { Atomic } from '@vdpalab/abi';
import { VHOST_IOTLB_FLAG_RETIRE } from '@vdpalab/uapi';
import type { VhostIotlb, VhostIotlbMap } from './header.ts';
import { IntervalTree } from './interval-tree.ts';

const U64_MAX = (1n << 64n) - 1n;

/** `struct vhost_iotlb` with its entries. */
class Iotlb implements VhostIotlb {
  readonly limit: number;
  readonly flags: number;
  generation = 0;
  readonly tree = new IntervalTree<VhostIotlbMap>();

  constructor(limit: number, flags: number) {
    this.limit = limit;
    this.flags = flags;
  }

  get nmaps(): number {
    return this.tree.size;
  }
}

/** The table behind the handle that callers hold. */
function own(iotlb: VhostIotlb): Iotlb {
  if (!(iotlb instanceof Iotlb)) throw new TypeError('not a table of this vhost_iotlb');
  return iotlb;
}

export function vhost_iotlb_alloc(limit: number, flags: number): VhostIotlb {
  return new Iotlb(limit, flags);
}

export function vhost_iotlb_add_range_ctx(
  iotlb: VhostIotlb, start: bigint, last: bigint, addr: bigint, perm: number, opaque: unknown,
): Atomic {
  const table = own(iotlb);
  if (last < start) {
    throw new KernelError('EFAULT', 'vhost.iotlb.range', `range 0x${start.toString(16)}-0x${last.toString(16)} ends before it starts`);
  }
  if (start === 0n && last === U64_MAX) {
    // a size of 2^64 does not fit in 64 bits: two halves
    const mid = last / 2n;
    vhost_iotlb_add_range_ctx(iotlb, start, mid, addr, perm, opaque);
    try {
      return vhost_iotlb_add_range_ctx(iotlb, mid + 1n, last, addr + mid + 1n, perm, opaque);
    } catch (error) {
      vhost_iotlb_del_range(iotlb, start, mid);
      throw error;
    }
  }
  if (table.limit > 0 && table.nmaps >= table.limit) {
    const oldest = table.tree.oldest();
    if ((table.flags & VHOST_IOTLB_FLAG_RETIRE) === 0 || oldest === undefined) {
      throw new KernelError('ENOSPC', 'vhost.iotlb.limit', `${table.nmaps} entries of ${table.limit} are in use`);
    }
    vhost_iotlb_map_free(iotlb, oldest);
  }
  table.tree.insert({ start, last, size: last - start + 1n, addr, perm, opaque });
  table.generation++;
  return undefined;
}

export function vhost_iotlb_add_range(iotlb: VhostIotlb, start: bigint, last: bigint, addr: bigint, perm: number): Atomic {
  return vhost_iotlb_add_range_ctx(iotlb, start, last, addr, perm, null);
}

export function vhost_iotlb_map_free(iotlb: VhostIotlb, map: VhostIotlbMap): Atomic {
  const table = own(iotlb);
  if (table.tree.remove(map)) table.generation++;
  return undefined;
}

export function vhost_iotlb_del_range(iotlb: VhostIotlb, start: bigint, last: bigint): Atomic {
  const { tree } = own(iotlb);
  for (let map = tree.first(start, last); map !== null; map = tree.first(start, last)) vhost_iotlb_map_free(iotlb, map);
  return undefined;
}

export function vhost_iotlb_reset(iotlb: VhostIotlb): Atomic {
  const table = own(iotlb);
  table.tree.clear();
  table.generation++;
  return undefined;
}

export function vhost_iotlb_itree_first(iotlb: VhostIotlb, start: bigint, last: bigint): VhostIotlbMap | null {
  return own(iotlb).tree.first(start, last);
}

export function vhost_iotlb_itree_next(iotlb: VhostIotlb, map: VhostIotlbMap, start: bigint, last: bigint): VhostIotlbMap | null {
  return own(iotlb).tree.next(map, start, last);
}
