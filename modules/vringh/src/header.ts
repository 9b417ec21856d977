/**
 * vringh: the host side of a split ring, its addresses translated through an IOTLB.
 *
 * Mirrors `include/linux/vringh.h` and `drivers/vhost/vringh.c` (Linux 6.1), the `_iotlb` flavour. No packed rings.
 */
import type { Atomic } from '@vdpalab/abi';
import type { VhostIotlb } from '@vdpalab/vhost-iotlb';

/** Physical segments of one direction: `struct vringh_kiov`. */
export interface VringhKiov {
  /** Physical address and bytes of each segment. */
  readonly segments: { pa: number; len: number }[];
  /** Bytes consumed so far by pull or push. */
  consumed: number;
}

/** `struct vringh` */
export interface Vringh {
  readonly num: number;
  readonly last_avail_idx: number;
  readonly last_used_idx: number;
}

export interface VringhSymbols {
  /** @throws EINVAL when num is 0, above 0xffff or not a power of two */
  vringh_init_iotlb: (features: bigint, num: number, weak_barriers: boolean, desc: bigint, avail: bigint, used: bigint) => Vringh;
  vringh_set_iotlb: (vrh: Vringh, iotlb: VhostIotlb) => Atomic;
  /** Start from another index, as after a reset or a migration. */
  vringh_set_last_idx: (vrh: Vringh, last_avail_idx: number, last_used_idx: number) => Atomic;
  /**
   * Take the next chain.
   *
   * @param riov filled with what the device may read; null when nothing readable is expected
   * @param wiov filled with what the device may write; null when nothing writable is expected
   * @returns its head, or -1 when the ring is empty
   * @throws EINVAL ELOOP EPROTO ENOBUFS EPERM for what a driver may not write
   */
  vringh_getdesc_iotlb: (vrh: Vringh, riov: VringhKiov | null, wiov: VringhKiov | null) => number;
  /** Copy out of readable segments. @returns bytes */
  vringh_iov_pull_iotlb: (vrh: Vringh, riov: VringhKiov, dst: Uint8Array) => number;
  /** Copy into writable segments. @returns bytes */
  vringh_iov_push_iotlb: (vrh: Vringh, wiov: VringhKiov, src: Uint8Array) => number;
  vringh_kiov_init: () => VringhKiov;
  vringh_kiov_length: (iov: VringhKiov) => number;
  vringh_abandon_iotlb: (vrh: Vringh, num: number) => Atomic;
  vringh_complete_iotlb: (vrh: Vringh, head: number, len: number) => Atomic;
  vringh_notify_enable_iotlb: (vrh: Vringh) => boolean;
  vringh_notify_disable_iotlb: (vrh: Vringh) => Atomic;
  vringh_need_notify_iotlb: (vrh: Vringh) => boolean;
}

declare module '@vdpalab/abi' {
  interface KernelSymbols extends VringhSymbols {}
}
