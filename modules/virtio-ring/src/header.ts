/**
 * Driver side of virtqueues in physical memory, through the DMA API.
 *
 * Mirrors `include/linux/{virtio,virtio_ring}.h` and `drivers/virtio/virtio_ring.c` (Linux 6.1).
 */
import type { Atomic } from '@vdpalab/abi';
import type { Device } from '@vdpalab/driver-core';

/** One physically contiguous piece of a buffer: a scatterlist entry. */
export interface Sg {
  /** Physical address. */
  readonly pa: number;
  /** Bytes. */
  readonly len: number;
}

/** `struct virtio_config_ops`: what a ring needs of it; the `virtio` header adds the rest. */
export interface VirtioConfigOps {
  /** Take one queue from the device. @throws ENOENT when the device cannot reset single queues */
  readonly disable_vq_and_reset?: (vq: Virtqueue) => Promise<void>;
  /** Hand it over again, as its ring is now. @throws EBUSY when it was not taken, or the device has it still */
  readonly enable_vq_after_reset?: (vq: Virtqueue) => Promise<void>;
}

/** `struct virtio_device`: what a ring needs of it; the `virtio` header adds the rest. */
export interface VirtioDevice {
  readonly dev: Device;
  readonly config: VirtioConfigOps;
}

/** `struct virtqueue` */
export interface Virtqueue {
  readonly name: string;
  readonly index: number;
  readonly vdev: VirtioDevice;
  readonly num_free: number;
  readonly num_max: number;
  readonly broken: boolean;
  /** The transport's own. */
  priv: unknown;
}

/** What a transport gives: `vring_create_virtqueue`. */
export interface VringInit {
  readonly index: number;
  /** Descriptors, a power of two unless the ring is packed; may shrink when memory is short and `may_reduce_num` is set. */
  readonly num: number;
  /** Alignment of the used ring, bytes. */
  readonly align: number;
  readonly vdev: VirtioDevice;
  /** Features negotiated so far. */
  readonly features: bigint;
  readonly may_reduce_num: boolean;
  /** Doorbell; atomic. @returns whether the device was told */
  readonly notify: (vq: Virtqueue) => boolean;
  /** Buffers used; atomic. */
  readonly callback: ((vq: Virtqueue) => Atomic) | null;
  readonly name: string;
  /** Device whose DMA API serves the ring and its buffers. */
  readonly dma_dev: Device;
}

export interface VirtioRingSymbols {
  /** @throws ENOMEM */
  vring_create_virtqueue: (init: VringInit) => Virtqueue;
  vring_del_virtqueue: (vq: Virtqueue) => Atomic;
  /** Drop transport bits the ring does not know. */
  vring_transport_features: (features: bigint) => bigint;
  /** The queue's interrupt: atomic; runs the callback when buffers were used. @returns whether there were */
  vring_interrupt: (vq: Virtqueue) => boolean;
  virtqueue_get_vring_size: (vq: Virtqueue) => number;
  /** Bus addresses of the three areas. */
  virtqueue_get_desc_addr: (vq: Virtqueue) => number;
  virtqueue_get_avail_addr: (vq: Virtqueue) => number;
  virtqueue_get_used_addr: (vq: Virtqueue) => number;

  /**
   * Add one buffer; maps every piece for the device.
   *
   * @param data token handed back by virtqueue_get_buf; not undefined
   * @throws ENOSPC when full; EIO when broken; ENOMEM when mapping fails, nothing added then
   */
  virtqueue_add_sgs: (vq: Virtqueue, out: readonly Sg[], inp: readonly Sg[], data: unknown) => Atomic;
  /** @returns whether the device must be told */
  virtqueue_kick_prepare: (vq: Virtqueue) => boolean;
  virtqueue_notify: (vq: Virtqueue) => boolean;
  virtqueue_kick: (vq: Virtqueue) => boolean;
  /** Next used buffer: its token and the bytes written; `null` when there is none. */
  virtqueue_get_buf: (vq: Virtqueue) => { readonly data: unknown; readonly len: number } | null;
  virtqueue_disable_cb: (vq: Virtqueue) => Atomic;
  /** @returns false when buffers are pending already */
  virtqueue_enable_cb: (vq: Virtqueue) => boolean;
  virtqueue_enable_cb_delayed: (vq: Virtqueue) => boolean;
  virtqueue_enable_cb_prepare: (vq: Virtqueue) => number;
  virtqueue_poll: (vq: Virtqueue, opaque: number) => boolean;
  /** Take back a buffer the device never used; after reset only. @returns its token, or undefined */
  virtqueue_detach_unused_buf: (vq: Virtqueue) => unknown;
  virtqueue_is_broken: (vq: Virtqueue) => boolean;
  /**
   * Give a queue another number of descriptors; its buffers are handed to `recycle` first.
   *
   * @param num up to `num_max`; a power of two unless the ring is packed
   * @throws E2BIG above `num_max`; EINVAL for 0; ENOENT when transport or device cannot; ENOMEM when the old size stays; EBUSY
   * when the device does not take the queue back, which is of no use then
   */
  virtqueue_resize: (vq: Virtqueue, num: number, recycle: (vq: Virtqueue, data: unknown) => Atomic) => Promise<void>;
  /** Mark a queue broken, or whole again. */
  __virtqueue_break: (vq: Virtqueue) => Atomic;
  __virtqueue_unbreak: (vq: Virtqueue) => Atomic;
  virtio_ring_leftovers: () => readonly string[];
}

declare module '@vdpalab/abi' {
  interface KernelSymbols extends VirtioRingSymbols {}
}
