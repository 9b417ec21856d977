/**
 * IOTLB: address ranges and what they map to.
 *
 * Mirrors `include/linux/vhost_iotlb.h` and `drivers/vhost/iotlb.c` (Linux 6.1). Ranges are inclusive 64-bit bounds,
 * so they are bigint here; walks on the data path keep their own caches.
 */
import type { Atomic } from '@vdpalab/abi';

/** `struct vhost_iotlb_map` */
export interface VhostIotlbMap {
  readonly start: bigint;
  /** Inclusive. */
  readonly last: bigint;
  readonly size: bigint;
  /** What `start` maps to: a user or physical address. */
  readonly addr: bigint;
  /** VHOST_ACCESS_RO 1, WO 2, RW 3 */
  readonly perm: number;
  readonly opaque: unknown;
}

/** `struct vhost_iotlb` */
export interface VhostIotlb {
  /** Entries it may hold; 0 for no limit. */
  readonly limit: number;
  readonly nmaps: number;
  /** VHOST_IOTLB_FLAG_RETIRE 1: a full table drops its oldest entry. */
  readonly flags: number;
  /** Rises with every change: caches of older generations are stale. */
  readonly generation: number;
}

export interface VhostIotlbSymbols {
  vhost_iotlb_init: (limit: number, flags: number) => VhostIotlb;
  vhost_iotlb_alloc: (limit: number, flags: number) => VhostIotlb;
  /** @throws EFAULT when last < start, EINVAL for a limit of 0 entries, ENOSPC when full */
  vhost_iotlb_add_range_ctx: (iotlb: VhostIotlb, start: bigint, last: bigint, addr: bigint, perm: number, opaque: unknown) => Atomic;
  vhost_iotlb_add_range: (iotlb: VhostIotlb, start: bigint, last: bigint, addr: bigint, perm: number) => Atomic;
  /** Drop every entry that overlaps. */
  vhost_iotlb_del_range: (iotlb: VhostIotlb, start: bigint, last: bigint) => Atomic;
  vhost_iotlb_map_free: (iotlb: VhostIotlb, map: VhostIotlbMap) => Atomic;
  vhost_iotlb_reset: (iotlb: VhostIotlb) => Atomic;
  vhost_iotlb_free: (iotlb: VhostIotlb) => Atomic;
  /** First entry that overlaps, lowest start first. */
  vhost_iotlb_itree_first: (iotlb: VhostIotlb, start: bigint, last: bigint) => VhostIotlbMap | null;
  vhost_iotlb_itree_next: (iotlb: VhostIotlb, map: VhostIotlbMap, start: bigint, last: bigint) => VhostIotlbMap | null;
}

declare module '@vdpalab/abi' {
  interface KernelSymbols extends VhostIotlbSymbols {}
}
