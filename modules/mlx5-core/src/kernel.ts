/** What the driver takes of the kernel. */
import type { KernelSymbols } from '@vdpalab/abi';
export type {} from '@vdpalab/auxiliary'; // its symbols
export type {} from '@vdpalab/devlink'; // its symbols
export type {} from '@vdpalab/driver-core'; // its symbols
export type {} from '@vdpalab/iommu'; // its symbols
export type {} from '@vdpalab/irq'; // its symbols
export type {} from '@vdpalab/mm'; // its symbols
export type {} from '@vdpalab/pci'; // its symbols
export type {} from '@vdpalab/sched'; // its symbols

/** Symbols: the device, its memory and interrupts, waiting, devlink and the auxiliary bus. */
export const imports = [
  '__pci_register_driver', 'pci_unregister_driver', 'pci_enable_device', 'pci_disable_device', 'pci_set_master', 'pci_clear_master',
  'pci_request_selected_regions', 'pci_release_selected_regions', 'pci_resource_start', 'pci_iomap_range', 'pci_iounmap', 'pci_get_drvdata', 'pci_set_drvdata',
  'pci_msix_vec_count', 'pci_alloc_irq_vectors', 'pci_free_irq_vectors', 'pci_irq_vector',
  'dma_set_mask_and_coherent', 'dma_alloc_coherent', 'dma_free_coherent', 'phys_view', 'request_irq', 'free_irq',
  'dev_err', 'dev_warn', 'dev_info', 'ida_init', 'ida_alloc_max', 'ida_free',
  'init_waitqueue_head', 'wait_event', 'wait_event_timeout', 'wake_up', 'mutex_init', 'mutex_lock', 'mutex_unlock',
  'init_rwsem', 'down_read', 'up_read', 'down_write', 'up_write', 'init_completion', 'complete', 'wait_for_completion',
  'alloc_workqueue', 'destroy_workqueue', 'INIT_WORK', 'queue_work', 'msleep', 'cpu_relax', 'ktime_get',
  'devlink_alloc_ns', 'devlink_free', 'devlink_register', 'devlink_unregister', 'devlink_set_features', 'devl_lock', 'devl_unlock',
  'devl_port_register', 'devl_port_unregister', 'devlink_params_register', 'devlink_params_unregister',
  'devlink_param_driverinit_value_get', 'devlink_param_driverinit_value_set',
  'devlink_info_driver_name_put', 'devlink_info_version_fixed_put', 'devlink_info_version_running_put', 'devlink_info_version_stored_put',
  'auxiliary_device_init', '__auxiliary_device_add', 'auxiliary_device_delete', 'auxiliary_device_uninit', '__auxiliary_driver_register', 'auxiliary_driver_unregister',
  'to_auxiliary_dev',
] as const satisfies readonly (keyof KernelSymbols)[];

/** Those symbols. */
export type Mlx5Kernel = Pick<KernelSymbols, (typeof imports)[number]>;
