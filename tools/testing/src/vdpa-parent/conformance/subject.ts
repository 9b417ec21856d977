/** What a vDPA parent tells the conformance suite about itself: capabilities as data, so that no check asks who it is. */
import type { Machine } from '@vdpalab/abi';
import type { BootedKernel, Loadable } from '../../kernel/boot.ts';

/** Operations of `vdpa_config_ops` that a parent may leave out. */
export const OPTIONAL_OPS = [
  'kick_vq_with_data', 'get_vendor_vq_stats', 'get_vq_notification', 'get_vq_irq', 'get_vq_size', 'get_vq_group', 'get_vq_desc_group',
  'get_backend_features', 'get_vq_num_min', 'compat_reset', 'suspend', 'resume', 'get_generation', 'set_vq_affinity', 'get_vq_affinity',
  'get_iova_range', 'set_map', 'dma_map', 'dma_unmap', 'reset_map', 'set_group_asid', 'get_vq_dma_dev', 'bind_mm', 'unbind_mm', 'free',
] as const;

/** One of {@link OPTIONAL_OPS}. */
export type OptionalOp = (typeof OPTIONAL_OPS)[number];

/** Operations every parent has. */
export const MANDATORY_OPS = [
  'set_vq_address', 'set_vq_num', 'kick_vq', 'set_vq_cb', 'set_vq_ready', 'get_vq_ready', 'set_vq_state', 'get_vq_state', 'get_vq_align',
  'get_device_features', 'set_driver_features', 'get_driver_features', 'set_config_cb', 'get_vq_num_max', 'get_device_id',
  'get_vendor_id', 'get_status', 'set_status', 'reset', 'get_config_size', 'get_config', 'set_config',
] as const;

/** What a device of the parent offers. */
export interface ParentOffers {
  /** virtio id: 1 network, 2 block. */
  readonly device_id: 1 | 2;
  readonly vendor_id: number;
  readonly nvqs: number;
  readonly ngroups: number;
  readonly nas: number;
  readonly features: bigint;
  /** Largest and smallest queue, in descriptors. */
  readonly num_max: number;
  readonly num_min: number;
  /** Bytes of configuration. */
  readonly config_size: number;
  /** Which of {@link OPTIONAL_OPS} are there. */
  readonly optional: readonly OptionalOp[];
  /** What a ring's state can do: any index, only the one a fresh ring has, or an errno when it is read. */
  readonly vq_state: 'any' | 'initial' | 'EOPNOTSUPP';
  /** Whether writing the configuration changes it. */
  readonly config_writable: boolean;
}

/** A file of sysfs, and the text that is written to it. */
export interface FileText {
  readonly file: string;
  readonly text: string;
}

/** A vDPA parent, ready to be put through the suite. */
export interface VdpaParentSubject {
  /** As its tests are named. */
  readonly name: string;
  /** A machine with its hardware; a plain one without devices when absent. */
  readonly machine?: (seed: number) => Machine;
  /** Built-in packages its modules need beyond sched, mm, fs, driver-core, irq, iommu, netlink, netdev and block. */
  readonly builtins?: readonly string[];
  /** Its own modules, by package folder or definition, dependencies first; vhost-iotlb, vringh, vdpa-core, virtio-ring, virtio are there. */
  readonly modules: readonly (string | Loadable)[];
  /** Who makes its devices: a management device, as `vdpa dev add` names it, or files that take a text. */
  readonly handle: string | { readonly create: FileText; readonly remove: FileText };
  /** Once its modules are loaded: processes it needs, functions to be switched on. */
  readonly prepare?: (kernel: BootedKernel) => Promise<void>;
  /** Before its modules' devices are looked for when the suite is done. */
  readonly finish?: (kernel: BootedKernel) => Promise<void>;
  readonly offers: ParentOffers;
  /** Memory that its devices reach: any, or only what a process has mapped. Any when absent. */
  readonly memory?: 'any' | 'process';
}
