/**
 * The core of the vDPA simulators: a device made of software with rings, an IOTLB for each address space, and a work
 * function that a class of device gives it.
 *
 * Mirrors `drivers/vdpa/vdpa_sim/vdpa_sim.h` (Linux 6.1).
 */
import type { Atomic } from '@vdpalab/abi';
import type { Work } from '@vdpalab/sched';
import type { VdpaCallback, VdpaDevice, VdpaMgmtDev } from '@vdpalab/vdpa-core';
import type { VhostIotlb } from '@vdpalab/vhost-iotlb';
import type { Vringh, VringhKiov } from '@vdpalab/vringh';

/** `struct vdpasim_virtqueue` */
export interface VdpasimVirtqueue {
  vring: Vringh;
  readonly in_iov: VringhKiov;
  readonly out_iov: VringhKiov;
  ready: boolean;
  desc_addr: bigint;
  driver_addr: bigint;
  device_addr: bigint;
  /** Descriptors. */
  num: number;
  cb: VdpaCallback | null;
}

/** `struct vdpasim_dev_attr`: what a class of device gives. */
export interface VdpasimDevAttr {
  readonly mgmt_dev: VdpaMgmtDev;
  readonly name: string;
  readonly supported_features: bigint;
  /** Bytes of configuration. */
  readonly config_size: number;
  /** Bytes of the buffer that data passes through. */
  readonly buffer_size: number;
  readonly nvqs: number;
  /** virtio id. */
  readonly id: number;
  readonly ngroups: number;
  readonly nas: number;
  /** Serve all queues; runs as a work of the system's queue, atomic. */
  readonly work_fn: (sim: Vdpasim) => Atomic;
  /** Fill in, before it is read, what of the configuration is not constant. */
  readonly get_config?: (sim: Vdpasim, config: Uint8Array) => Atomic;
  /** After it was written. */
  readonly set_config?: (sim: Vdpasim, config: Uint8Array) => Atomic;
  /** The device goes. */
  readonly free?: (sim: Vdpasim) => Atomic;
}

/** `struct vdpasim` */
export interface Vdpasim {
  readonly vdpa: VdpaDevice;
  readonly dev_attr: VdpasimDevAttr;
  readonly vqs: readonly VdpasimVirtqueue[];
  /** One table for each address space. */
  readonly iommu: readonly VhostIotlb[];
  readonly config: Uint8Array;
  readonly buffer: Uint8Array;
  /** Serves all queues; to be queued again when there is more to do than one turn's. */
  readonly work: Work;
  status: number;
  generation: number;
  /** Negotiated. */
  features: bigint;
  /** DRIVER_OK, and not suspended. */
  running: boolean;
}

export interface VdpaSimSymbols {
  /** Make a device, not registered yet: `vdpa_put_device` drops it. @throws ENOMEM, and what `__vdpa_alloc_device` throws */
  vdpasim_create: (attr: VdpasimDevAttr) => Promise<Vdpasim>;
}

declare module '@vdpalab/abi' {
  interface KernelSymbols extends VdpaSimSymbols {}
}
