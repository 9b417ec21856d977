/** The PCI bus. Mirrors `drivers/pci` (Linux 6.1). */
import { defineModule } from '@vdpalab/abi';
import { createBus } from './bus.ts';
import { createSymbols } from './symbols.ts';
import { imports } from './world.ts';

export default defineModule({
  name: 'pci',
  license: 'GPL',
  description: 'The PCI bus: configuration space, BARs, capabilities, MSI-X, SR-IOV',
  builtin: true,
  imports,
  exports: [
    '__pci_register_driver', 'pci_unregister_driver', 'to_pci_dev', 'pci_devices', 'pci_get_drvdata', 'pci_set_drvdata',
    'pci_enable_device', 'pci_disable_device', 'pci_device_is_present', 'pcim_enable_device', 'pcim_iomap_regions', 'pcim_iomap_table', 'pci_request_region', 'pci_release_region',
    'pci_request_selected_regions', 'pci_release_selected_regions', 'pci_iomap_range',
    'pci_iomap', 'pci_iounmap', 'pci_resource_start', 'pci_resource_len', 'pci_resource_flags', 'pci_set_master', 'pci_clear_master',
    'pci_read_config_byte', 'pci_read_config_word', 'pci_read_config_dword', 'pci_write_config_byte',
    'pci_write_config_word', 'pci_write_config_dword', 'pci_find_capability', 'pci_name', 'pci_alloc_irq_vectors',
    'pci_free_irq_vectors', 'pci_irq_vector', 'pci_msix_vec_count',
  ],
  exportsGpl: [
    'pci_find_next_capability', 'pci_find_ext_capability', 'pci_enable_sriov', 'pci_disable_sriov', 'pci_num_vf',
    'pci_vfs_assigned', 'pci_sriov_configure_simple', 'pcie_flr', 'pci_try_reset_function', '__pci_reset_function_locked', 'pci_dev_trylock',
    'pci_dev_unlock', 'pci_save_state', 'pci_restore_state', 'pci_store_saved_state', 'pci_load_saved_state', 'pci_probe_reset_bus', 'pci_reset_bus',
    'pci_intx', 'pci_intx_mask_supported', 'pci_check_and_mask_intx', 'pci_check_and_unmask_intx', 'pci_add_dynid', 'pci_leftovers',
  ],

  async module_init(k, { undo }) {
    const world = await createBus(k, undo);
    return { ksymtab: createSymbols(world), module_exit: null };
  },
});
