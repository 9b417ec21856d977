/** Physical function of the N3000. Mirrors no driver of Linux; does what PF drivers of network cards do (Linux 6.1). */
import { defineModule } from '@vdpalab/abi';
import type { PciDriver } from '@vdpalab/pci';
import { PhysicalFunction } from './physical-function.ts';

/** The BAR with the registers. */
const BARS = 1 << 0;

export default defineModule({
  name: 'n3000_pf',
  license: 'GPL',
  imports: [
    '__pci_register_driver', 'pci_unregister_driver', 'pcim_enable_device', 'pcim_iomap_regions', 'pcim_iomap_table', 'pci_num_vf',
    'pci_get_drvdata', 'pci_set_drvdata', 'pci_sriov_configure_simple', 'alloc_etherdev', 'free_netdev', 'register_netdev', 'unregister_netdev',
    'eth_hw_addr_set', 'netif_carrier_off', 'kfree_skb', 'dev_err',
  ],

  async module_init(k, { THIS_MODULE }) {
    const driver: PciDriver = {
      name: 'n3000_pf',
      owner: THIS_MODULE,
      id_table: [],
      async probe(pdev) {
        k.pcim_enable_device(pdev);
        k.pcim_iomap_regions(pdev, BARS, 'n3000_pf');
        const [regs] = k.pcim_iomap_table(pdev);
        if (regs === null || regs === undefined) throw new Error('the BAR was mapped just now');
        const pf = new PhysicalFunction(k, pdev, regs);
        await pf.register();
        k.pci_set_drvdata(pdev, pf);
      },
      remove: (pdev) => (k.pci_get_drvdata(pdev) as PhysicalFunction).unregister(), // set by probe
      sriov_configure: k.pci_sriov_configure_simple,
    };
    await k.__pci_register_driver(driver);
    return { ksymtab: {}, module_exit: () => k.pci_unregister_driver(driver) };
  },
});
