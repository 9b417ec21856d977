/** What the driver takes of the kernel. */
import type { KernelSymbols } from '@vdpalab/abi';
export type {} from '@vdpalab/auxiliary'; // its symbols
export type {} from '@vdpalab/driver-core'; // its symbols
export type {} from '@vdpalab/iommu'; // its symbols
export type {} from '@vdpalab/mlx5-core'; // its symbols
export type {} from '@vdpalab/pci'; // its symbols
export type {} from '@vdpalab/sched'; // its symbols
export type {} from '@vdpalab/vdpa-core'; // its symbols
export type {} from '@vdpalab/vhost-iotlb'; // its symbols
export type {} from '@vdpalab/vringh'; // its symbols

/** Symbols: the auxiliary bus, vDPA, the firmware, rings and tables of the control queue, the rest. */
export const imports = [
  '__auxiliary_driver_register', 'auxiliary_driver_unregister',
  '__vdpa_alloc_device', '_vdpa_register_device', '_vdpa_unregister_device', 'vdpa_mgmtdev_register', 'vdpa_mgmtdev_unregister', 'vdpa_put_device',
  'mlx5_cmd_exec', 'mlx5_core_create_mkey', 'mlx5_core_destroy_mkey', 'mlx5_core_alloc_pd', 'mlx5_core_dealloc_pd', 'mlx5_core_alloc_transport_domain',
  'mlx5_core_dealloc_transport_domain', 'mlx5_core_create_rqt', 'mlx5_core_modify_rqt', 'mlx5_core_destroy_rqt', 'mlx5_core_create_tir', 'mlx5_core_destroy_tir',
  'mlx5_core_create_tis', 'mlx5_core_destroy_tis', 'mlx5_core_create_cq', 'mlx5_core_destroy_cq', 'mlx5_vector2eqn', 'mlx5_notifier_register',
  'mlx5_notifier_unregister', 'mlx5_query_nic_vport_mac_address', 'mlx5_query_nic_vport_mtu', 'mlx5_modify_nic_vport_mtu', 'mlx5_query_vport_state',
  'mlx5_mpfs_add_mac', 'mlx5_mpfs_del_mac', 'mlx5_get_flow_namespace', 'mlx5_create_auto_grouped_flow_table', 'mlx5_destroy_flow_table', 'mlx5_add_flow_rules',
  'mlx5_del_flow_rules',
  'vringh_init_iotlb', 'vringh_set_iotlb', 'vringh_getdesc_iotlb', 'vringh_iov_pull_iotlb', 'vringh_iov_push_iotlb', 'vringh_complete_iotlb',
  'vringh_need_notify_iotlb', 'vhost_iotlb_alloc', 'vhost_iotlb_free', 'vhost_iotlb_reset', 'vhost_iotlb_add_range', 'vhost_iotlb_itree_first', 'vhost_iotlb_itree_next',
  'dma_map_single', 'dma_unmap_single', 'set_dma_ops', 'pci_iomap_range', 'pci_iounmap', 'pci_get_drvdata', 'dev_get_drvdata', 'dev_set_drvdata', 'dev_err', 'dev_info', 'dev_warn',
  'mutex_init', 'mutex_lock', 'mutex_unlock', 'alloc_workqueue', 'destroy_workqueue', 'INIT_WORK', 'queue_work',
] as const satisfies readonly (keyof KernelSymbols)[];

/** Those symbols. */
export type VnetKernel = Pick<KernelSymbols, (typeof imports)[number]>;
