/**
 * vringh: the host side of a split ring, its addresses translated through an IOTLB.
 *
 * Mirrors `include/linux/vringh.h` and `drivers/vhost/vringh.c` (Linux 6.1), the `_iotlb` flavour. No packed rings.
 */
import type { Atomic } from '@vdpalab/abi';
import type { VhostIotlb } from '@vdpalab/vhost-iotlb';

/** One piece of a chain, where the driver said it is: no address has been translated yet. */
export interface VringhSegment {
  /** Address, lower and upper half. */
  readonly lo: number;
  readonly hi: number;
  /** Bytes. */
  readonly len: number;
}

/** Pieces of one direction: `struct vringh_kiov`. Plain data, which whoever takes chains makes once: `{ segments: [], consumed: 0 }`. */
export interface VringhKiov {
  readonly segments: VringhSegment[];
  /** Bytes consumed so far by pull or push. */
  consumed: number;
}

/** `struct vringh` */
export interface Vringh {
  readonly num: number;
  /** Next entry of the available ring, as after a reset or a migration; 16 bits, runs freely. */
  last_avail_idx: number;
  /** Next entry of the used ring. */
  last_used_idx: number;
}

export interface VringhSymbols {
  /** @throws EINVAL when num is 0, above 0xffff or not a power of two */
  vringh_init_iotlb: (features: bigint, num: number, weak_barriers: boolean, desc: bigint, avail: bigint, used: bigint) => Vringh;
  vringh_set_iotlb: (vrh: Vringh, iotlb: VhostIotlb) => Atomic;
  /**
   * Take the next chain.
   *
   * @param riov filled with what the device may read; null when nothing readable is expected
   * @param wiov filled with what the device may write; null when nothing writable is expected
   * @returns its head, or -1 when the ring is empty
   * @throws EINVAL ELOOP EPROTO ENOBUFS EFAULT for what a driver may not write
   */
  vringh_getdesc_iotlb: (vrh: Vringh, riov: VringhKiov | null, wiov: VringhKiov | null) => number;
  /** Copy out of readable pieces. @returns bytes. @throws EINVAL EPERM at a piece that is not mapped so; the ones before it are consumed */
  vringh_iov_pull_iotlb: (vrh: Vringh, riov: VringhKiov, dst: Uint8Array) => number;
  /** Copy into writable pieces. @returns bytes. @throws EINVAL EPERM as above */
  vringh_iov_push_iotlb: (vrh: Vringh, wiov: VringhKiov, src: Uint8Array) => number;
  /** Pass over bytes without looking at them. */
  vringh_kiov_advance: (iov: VringhKiov, len: number) => Atomic;
  /** Chains that were taken are to be taken again. */
  vringh_abandon_iotlb: (vrh: Vringh, num: number) => Atomic;
  vringh_complete_iotlb: (vrh: Vringh, head: number, len: number) => Atomic;
  vringh_notify_enable_iotlb: (vrh: Vringh) => boolean;
  vringh_notify_disable_iotlb: (vrh: Vringh) => Atomic;
  vringh_need_notify_iotlb: (vrh: Vringh) => boolean;
}

declare module '@vdpalab/abi' {
  interface KernelSymbols extends VringhSymbols {}
}
