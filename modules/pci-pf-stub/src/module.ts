/** Binds a physical function only to switch on its virtual functions. Mirrors `drivers/pci/pci-pf-stub.c` (Linux 6.1). */
import { defineModule } from '@vdpalab/abi';
import type { PciDeviceId, PciDriver } from '@vdpalab/pci';
import { pciAlias } from '@vdpalab/uapi';

const ids: readonly PciDeviceId[] = [
  { vendor: 0x1d0f, device: 0x0053, subvendor: null, subdevice: null, class: 0, class_mask: 0 }, // Amazon
];

export default defineModule({
  name: 'pci_pf_stub',
  license: 'GPL',
  alias: ids.map(pciAlias),
  imports: ['dev_info', '__pci_register_driver', 'pci_unregister_driver', 'pci_sriov_configure_simple'],

  async module_init(k, { THIS_MODULE }) {
    const driver: PciDriver = {
      name: 'pci-pf-stub',
      owner: THIS_MODULE,
      id_table: ids,
      probe: async ({ dev }) => void k.dev_info(dev, 'claimed by pci-pf-stub'), // which is all there is to do
      sriov_configure: k.pci_sriov_configure_simple,
    };
    await k.__pci_register_driver(driver);
    return { ksymtab: {}, module_exit: () => k.pci_unregister_driver(driver) };
  },
});
