/** What the module declares: read without running it. */

/** Imported symbols. */
export const imports = [
  // In the order of the real module's symbol table, which a load without them shows.
  'vfio_info_cap_shift', 'vfio_set_irqs_validate_and_prepare', 'vfio_virqfd_disable', 'vfio_file_is_group', 'vfio_file_has_dev',
  'irq_bypass_register_producer', 'vfio_virqfd_enable', 'vfio_unregister_group_dev', 'vfio_info_add_capability', 'irq_bypass_unregister_producer',
  'vfio_register_group_dev', 'vfio_assign_device_set', 'vfio_device_set_open_count',
  '_printk', 'mutex_init', 'mutex_lock', 'mutex_unlock', 'init_rwsem', 'down_read', 'up_read', 'down_write', 'up_write', 'fget', 'fput',
  'eventfd_ctx_fdget', 'eventfd_ctx_put', 'eventfd_signal', 'request_irq', 'free_irq', 'disable_irq', 'enable_irq', 'dev_warn', 'dev_info', 'bus_register_notifier', 'bus_unregister_notifier',
  'to_pci_dev', 'pci_name', 'pci_enable_device', 'pci_disable_device', 'pci_clear_master', 'pci_read_config_byte', 'pci_read_config_word',
  'pci_read_config_dword', 'pci_write_config_byte', 'pci_write_config_word', 'pci_write_config_dword', 'pci_find_capability', 'pci_find_ext_capability', 'pci_alloc_irq_vectors',
  'pci_free_irq_vectors', 'pci_irq_vector', 'pci_iomap', 'pci_iounmap', 'pci_request_selected_regions', 'pci_release_selected_regions',
  'pci_resource_start', 'pci_resource_len', 'pci_resource_flags', 'pci_try_reset_function', '__pci_reset_function_locked', 'pci_dev_trylock',
  'pci_dev_unlock', 'pci_save_state', 'pci_restore_state', 'pci_store_saved_state', 'pci_load_saved_state', 'pci_probe_reset_bus', 'pci_reset_bus',
  'pci_intx', 'pci_intx_mask_supported', 'pci_check_and_mask_intx', 'pci_check_and_unmask_intx', 'pci_num_vf', 'pci_enable_sriov', 'pci_disable_sriov',
] as const;
