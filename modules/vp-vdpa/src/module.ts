/** vDPA parent on any modern virtio PCI function. Mirrors `drivers/vdpa/virtio_pci/vp_vdpa.c` (Linux 6.1). */
import { defineModule } from '@vdpalab/abi';
import type { PciDev, PciDriver } from '@vdpalab/pci';
import type { VdpaMgmtDev } from '@vdpalab/vdpa-core';
import type { VirtioPciModernDevice } from '@vdpalab/virtio-pci-modern-dev';
import { managementOf } from './management.ts';

/** What a bound function has. */
interface Bound {
  readonly vp: VirtioPciModernDevice;
  readonly mdev: VdpaMgmtDev;
}

export default defineModule({
  name: 'vp_vdpa',
  license: 'GPL',
  description: 'vp-vdpa',
  author: 'Jason Wang <jasowang@redhat.com>',
  version: '1',
  imports: [
    'vp_modern_get_status', 'vp_modern_map_vq_notify', 'vp_modern_remove', '_vdpa_register_device', 'vp_modern_get_features',
    'vp_modern_set_status', '__vdpa_alloc_device', 'vp_modern_get_driver_features', 'vp_modern_queue_address',
    'vdpa_mgmtdev_unregister', 'vp_modern_get_queue_enable', 'vp_modern_config_vector', 'vp_modern_probe', 'vp_modern_set_queue_size',
    'vp_modern_queue_vector', 'vp_modern_generation', '_vdpa_unregister_device', 'vdpa_mgmtdev_register', 'vp_modern_set_features',
    'vp_modern_get_num_queues', 'vp_modern_set_queue_enable', 'put_device',
    '__pci_register_driver', 'pci_unregister_driver', 'pci_get_drvdata', 'pci_set_drvdata', 'pcim_enable_device', 'pci_set_master',
    'pci_name', 'pci_iounmap', 'pci_alloc_irq_vectors', 'pci_free_irq_vectors', 'pci_irq_vector', 'request_irq', 'free_irq',
    'dev_err', 'dev_warn',
  ],

  async module_init(k, { THIS_MODULE }) {
    const own = (pdev: PciDev): Bound => k.pci_get_drvdata(pdev) as Bound; // set by probe

    /** Name the step in the log, as the driver does, and pass the errno on. */
    async function step<T>(pdev: PciDev, failure: string, body: () => Promise<T> | T): Promise<T> {
      try {
        return await body();
      } catch (error) {
        k.dev_err(pdev.dev, failure);
        throw error;
      }
    }

    const driver: PciDriver = {
      name: 'vp-vdpa',
      owner: THIS_MODULE,
      id_table: [], // bound by driver_override or new_id only
      async probe(pdev) {
        k.pcim_enable_device(pdev);
        const vp = await step(pdev, 'Failed to probe modern PCI device', () => k.vp_modern_probe(pdev));
        try {
          const mdev = managementOf(k, vp);
          k.pci_set_master(pdev);
          await step(pdev, 'Failed to register vdpa mgmtdev device', () => k.vdpa_mgmtdev_register(mdev));
          k.pci_set_drvdata(pdev, { vp, mdev });
        } catch (error) {
          k.vp_modern_remove(vp);
          throw error;
        }
      },
      async remove(pdev) {
        const { vp, mdev } = own(pdev);
        await k.vdpa_mgmtdev_unregister(mdev);
        k.vp_modern_remove(vp);
      },
    };
    await k.__pci_register_driver(driver);
    return { ksymtab: {}, module_exit: () => k.pci_unregister_driver(driver) };
  },
});
