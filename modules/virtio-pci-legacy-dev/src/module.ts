/** Access to a legacy virtio PCI function. Mirrors `drivers/virtio/virtio_pci_legacy_dev.c` (Linux 6.1). */
import { defineModule } from '@vdpalab/abi';
import type { IoMem } from '@vdpalab/pci';
import {
  VIRTIO_MSI_CONFIG_VECTOR, VIRTIO_MSI_QUEUE_VECTOR, VIRTIO_PCI_GUEST_FEATURES, VIRTIO_PCI_HOST_FEATURES, VIRTIO_PCI_QUEUE_NUM,
  VIRTIO_PCI_QUEUE_PFN, VIRTIO_PCI_QUEUE_SEL, VIRTIO_PCI_STATUS,
} from '@vdpalab/uapi';
import type { VirtioPciLegacyDevice } from './header.ts';
import { probe, remove } from './probe.ts';

/** @returns the registers with a queue selected */
function select({ ioaddr }: VirtioPciLegacyDevice, index: number): IoMem {
  ioaddr.write16(VIRTIO_PCI_QUEUE_SEL, index);
  return ioaddr;
}

export default defineModule({
  name: 'virtio_pci_legacy_dev',
  license: 'GPL',
  description: 'Legacy Virtio PCI Device',
  author: 'Wu Zongyong <wuzongyong@linux.alibaba.com>',
  version: '0.1',
  imports: [
    'pci_request_region', 'pci_release_region', 'pci_iomap', 'pci_iounmap', 'dma_set_mask_and_coherent', 'dev_err', 'dev_warn',
  ],
  exportsGpl: [
    'vp_legacy_probe', 'vp_legacy_remove', 'vp_legacy_get_features', 'vp_legacy_get_driver_features', 'vp_legacy_set_features',
    'vp_legacy_get_status', 'vp_legacy_set_status', 'vp_legacy_queue_vector', 'vp_legacy_config_vector',
    'vp_legacy_set_queue_address', 'vp_legacy_get_queue_enable', 'vp_legacy_get_queue_size',
  ],

  module_init: (k) => ({
    ksymtab: {
      vp_legacy_probe: (pdev) => probe(k, pdev),
      vp_legacy_remove: (ldev) => remove(k, ldev),
      vp_legacy_get_features: ({ ioaddr }) => BigInt(ioaddr.read32(VIRTIO_PCI_HOST_FEATURES) >>> 0),
      vp_legacy_get_driver_features: ({ ioaddr }) => BigInt(ioaddr.read32(VIRTIO_PCI_GUEST_FEATURES) >>> 0),
      vp_legacy_set_features: ({ ioaddr }, features) => ioaddr.write32(VIRTIO_PCI_GUEST_FEATURES, Number(features)),
      vp_legacy_get_status: ({ ioaddr }) => ioaddr.read8(VIRTIO_PCI_STATUS),
      vp_legacy_set_status: ({ ioaddr }, status) => ioaddr.write8(VIRTIO_PCI_STATUS, status),
      vp_legacy_queue_vector(ldev, index, vector) {
        const ports = select(ldev, index);
        ports.write16(VIRTIO_MSI_QUEUE_VECTOR, vector);
        return ports.read16(VIRTIO_MSI_QUEUE_VECTOR); // reading flushes the write, and tells whether it was taken
      },
      vp_legacy_config_vector({ ioaddr }, vector) {
        ioaddr.write16(VIRTIO_MSI_CONFIG_VECTOR, vector);
        return ioaddr.read16(VIRTIO_MSI_CONFIG_VECTOR);
      },
      vp_legacy_set_queue_address: (ldev, index, pfn) => select(ldev, index).write32(VIRTIO_PCI_QUEUE_PFN, pfn),
      vp_legacy_get_queue_enable: (ldev, index) => select(ldev, index).read32(VIRTIO_PCI_QUEUE_PFN) !== 0,
      vp_legacy_get_queue_size: (ldev, index) => select(ldev, index).read16(VIRTIO_PCI_QUEUE_NUM),
    },
    module_exit: () => undefined,
  }),
});
