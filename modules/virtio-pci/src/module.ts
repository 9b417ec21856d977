/** Virtio devices on PCI. Mirrors `drivers/virtio/virtio_pci_common.c` (Linux 6.1). */
import { defineModule, param } from '@vdpalab/abi';
import type { PciDeviceId, PciDev, PciDriver } from '@vdpalab/pci';
import { pciAlias, PCI_VENDOR_ID_REDHAT_QUMRANET } from '@vdpalab/uapi';
import { probe, remove, sriovConfigure } from './device.ts';
import type { VirtioPciDevice } from './device.ts';

/** Every function of the vendor; probing tells which ones are virtio's. */
const id: PciDeviceId = { vendor: PCI_VENDOR_ID_REDHAT_QUMRANET, device: null, subvendor: null, subdevice: null, class: 0, class_mask: 0 };

export default defineModule({
  name: 'virtio_pci',
  license: 'GPL',
  description: 'virtio-pci',
  author: 'Anthony Liguori <aliguori@us.ibm.com>',
  version: '1',
  alias: [pciAlias(id)],
  params: { force_legacy: param.bool(false, { perm: 0o444, desc: 'Force legacy mode for transitional virtio 1 devices' }) },
  imports: [
    'vring_create_virtqueue', 'vring_del_virtqueue', 'vring_interrupt', 'vring_transport_features', 'virtqueue_get_vring_size',
    'virtqueue_get_desc_addr', 'virtqueue_get_avail_addr', 'virtqueue_get_used_addr',
    'vp_modern_probe', 'vp_modern_remove', 'vp_modern_get_features', 'vp_modern_set_features', 'vp_modern_generation',
    'vp_modern_get_status', 'vp_modern_set_status', 'vp_modern_queue_vector', 'vp_modern_config_vector', 'vp_modern_queue_address',
    'vp_modern_set_queue_enable', 'vp_modern_get_queue_enable', 'vp_modern_set_queue_size', 'vp_modern_get_queue_size',
    'vp_modern_get_num_queues', 'vp_modern_get_queue_reset', 'vp_modern_set_queue_reset', 'vp_modern_map_vq_notify',
    'vp_legacy_probe', 'vp_legacy_remove', 'vp_legacy_get_features', 'vp_legacy_set_features', 'vp_legacy_get_status',
    'vp_legacy_set_status', 'vp_legacy_queue_vector', 'vp_legacy_config_vector', 'vp_legacy_set_queue_address',
    'vp_legacy_get_queue_enable', 'vp_legacy_get_queue_size',
    'register_virtio_device', 'unregister_virtio_device', 'virtio_config_changed', 'virtio_break_device', 'virtio_has_feature',
    '__pci_register_driver', 'pci_unregister_driver', 'pci_get_drvdata', 'pci_set_drvdata', 'pci_enable_device', 'pci_disable_device',
    'pci_set_master', 'pci_name', 'pci_device_is_present', 'pci_find_ext_capability', 'pci_iounmap', 'pci_vfs_assigned',
    'pci_enable_sriov', 'pci_disable_sriov', 'pci_alloc_irq_vectors', 'pci_free_irq_vectors', 'pci_irq_vector', 'request_irq',
    'free_irq', 'dev_err', 'dev_warn', 'msleep',
  ],

  async module_init(k, { THIS_MODULE, params }) {
    const own = (pdev: PciDev): VirtioPciDevice => k.pci_get_drvdata(pdev) as VirtioPciDevice; // set by probe
    const driver: PciDriver = {
      name: 'virtio-pci',
      owner: THIS_MODULE,
      id_table: [id],
      async probe(pdev) {
        k.pci_set_drvdata(pdev, await probe(k, pdev, params.force_legacy));
      },
      remove: (pdev) => remove(k, pdev, own(pdev)),
      sriov_configure: (pdev, count) => sriovConfigure(k, pdev, own(pdev), count),
    };
    await k.__pci_register_driver(driver);
    return { ksymtab: {}, module_exit: () => k.pci_unregister_driver(driver) };
  },
});
