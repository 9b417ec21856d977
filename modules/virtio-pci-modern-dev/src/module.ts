/** Access to a modern virtio PCI function. Mirrors `drivers/virtio/virtio_pci_modern_dev.c` (Linux 6.1). */
import { defineModule } from '@vdpalab/abi';
import { probe, remove } from './probe.ts';
import { registerSymbols } from './registers.ts';

export default defineModule({
  name: 'virtio_pci_modern_dev',
  license: 'GPL',
  description: 'Modern Virtio PCI Device',
  author: 'Jason Wang <jasowang@redhat.com>',
  version: '0.1',
  imports: [
    'pci_find_capability', 'pci_find_next_capability', 'pci_read_config_byte', 'pci_read_config_dword', 'pci_resource_start',
    'pci_resource_len', 'pci_iomap_range', 'pci_iounmap', 'pci_request_selected_regions', 'pci_release_selected_regions',
    'dma_set_mask_and_coherent', 'dev_err', 'dev_warn', 'dev_info', 'msleep',
  ],
  exportsGpl: [
    'vp_modern_probe', 'vp_modern_remove', 'vp_modern_get_features', 'vp_modern_get_driver_features', 'vp_modern_set_features',
    'vp_modern_generation', 'vp_modern_get_status', 'vp_modern_set_status', 'vp_modern_queue_vector', 'vp_modern_config_vector',
    'vp_modern_queue_address', 'vp_modern_set_queue_enable', 'vp_modern_get_queue_enable', 'vp_modern_set_queue_size',
    'vp_modern_get_queue_size', 'vp_modern_get_num_queues', 'vp_modern_get_queue_reset', 'vp_modern_set_queue_reset',
    'vp_modern_map_vq_notify',
  ],

  module_init: (k) => ({
    ksymtab: {
      vp_modern_probe: (pdev) => probe(k, pdev),
      vp_modern_remove: (mdev) => remove(k, mdev),
      ...registerSymbols(k),
    },
    module_exit: () => undefined,
  }),
});
