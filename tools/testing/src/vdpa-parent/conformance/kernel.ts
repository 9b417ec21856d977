/** Symbols and objects as the suite uses them; their full types are in headers above this package. */
import type { Atomic } from '@vdpalab/abi';
import type { RingKernel } from '../direct-rings.ts';
import type { UserCalls, UserProcess } from '../vhost-user-space.ts';
import type { ToolCalls } from '../../netlink/genl-tool.ts';

/** `struct vdpa_config_ops`, as far as checks call it. */
export interface SuiteOps {
  readonly get_status: (vdev: SuiteDevice) => number;
  readonly get_vq_ready: (vdev: SuiteDevice, idx: number) => boolean;
  readonly set_vq_cb: (vdev: SuiteDevice, idx: number, cb: null) => Atomic;
  readonly get_vq_num_max: (vdev: SuiteDevice) => number;
  readonly get_vq_num_min?: (vdev: SuiteDevice) => number;
  readonly get_vq_align: (vdev: SuiteDevice) => number;
  readonly get_vq_size?: (vdev: SuiteDevice, idx: number) => number;
  readonly get_vq_group?: (vdev: SuiteDevice, idx: number) => number;
  readonly get_vq_irq?: (vdev: SuiteDevice, idx: number) => number;
  readonly get_generation?: (vdev: SuiteDevice) => number;
  readonly get_device_features: (vdev: SuiteDevice) => bigint;
  readonly get_driver_features: (vdev: SuiteDevice) => bigint;
  readonly get_device_id: (vdev: SuiteDevice) => number;
  readonly get_vendor_id: (vdev: SuiteDevice) => number;
  readonly get_config_size: (vdev: SuiteDevice) => number;
  readonly get_config: (vdev: SuiteDevice, offset: number, len: number) => Uint8Array;
  readonly get_vq_dma_dev?: (vdev: SuiteDevice, idx: number) => object;
  readonly get_iova_range?: (vdev: SuiteDevice) => { readonly first: bigint; readonly last: bigint };
}

/** `struct vdpa_device` */
export interface SuiteDevice {
  readonly dev: { readonly name: string; readonly driver: { readonly name: string } | null };
  readonly dma_dev: object;
  readonly config: SuiteOps;
  readonly nvqs: number;
  readonly ngroups: number;
  readonly nas: number;
  readonly use_va: boolean;
}

/** `struct virtio_device` */
export interface SuiteVirtio {
  readonly dev: { readonly name: string };
  readonly id: { readonly device: number; readonly vendor: number };
  readonly features: bigint;
  readonly vqs: readonly { readonly index: number; readonly name: string }[];
}

/** `struct net_device` */
export interface SuiteNet {
  readonly name: string;
  readonly ifindex: number;
  readonly dev_addr: Uint8Array;
}

/** A process of the suite. */
export type SuiteProcess = UserProcess & { readonly mm: { readonly view: (va: number, size: number) => Uint8Array | null } };

/** The kernel's symbols. */
export interface SuiteKernel extends UserCalls<SuiteProcess>, ToolCalls<SuiteProcess>, RingKernel {
  readonly vdpa_reset: (vdev: SuiteDevice) => Promise<void>;
  readonly vdpa_set_status: (vdev: SuiteDevice, status: number) => Promise<void>;
  readonly vdpa_set_features: (vdev: SuiteDevice, features: bigint) => Promise<void>;
  readonly find_bus: (name: string) => object | null;
  readonly bus_devices: (bus: object) => readonly SuiteDevice['dev'][];
  readonly dev_to_vdpa: (dev: SuiteDevice['dev']) => SuiteDevice;
  readonly dev_to_virtio: (dev: object) => SuiteVirtio;
  readonly device_release_driver: (dev: object) => Promise<void>;
  readonly device_attach: (dev: object) => Promise<boolean>;
  readonly vdpa_get_config: (vdev: SuiteDevice, offset: number, len: number) => Promise<Uint8Array>;
  readonly dma_mappings: (dev: object) => readonly { readonly dma: number; readonly size: number; readonly coherent: boolean }[];
  readonly ksys_eventfd: (proc: SuiteProcess, initval: number, flags: number) => number;
  readonly ksys_read: (proc: SuiteProcess, fd: number, len: number) => Promise<Uint8Array>;
  readonly ksys_munmap: (proc: SuiteProcess, addr: number, len: number) => Promise<void>;
  readonly ksys_pread: (proc: SuiteProcess, fd: number, len: number, pos: number) => Promise<Uint8Array>;
  readonly ksys_pwrite: (proc: SuiteProcess, fd: number, bytes: Uint8Array, pos: number) => Promise<number>;
  readonly ksys_bind: (proc: SuiteProcess, fd: number, address: Uint8Array) => Promise<void>;
  readonly eventfd_ctx_fdget: (proc: SuiteProcess, fd: number) => { readonly count: bigint };
  readonly eventfd_ctx_put: (ctx: object) => Atomic;
  readonly msleep: (ms: number) => Promise<void>;
  readonly netdevs: () => readonly SuiteNet[];
  readonly dev_open: (dev: SuiteNet) => Promise<void>;
}
