/** core driver for VFIO based PCI devices. Name the Linux 6.1 file it mirrors here. */
import { defineModule } from '@vdpalab/abi';

const KERN_INFO = 6;

export default defineModule({
  name: 'vfio_pci_core',
  license: 'GPL v2',
  description: 'core driver for VFIO based PCI devices',
  imports: ['_printk'],
  exportsGpl: ['vfio_pci_core_loaded'],

  module_init(k, { undo }) {
    let loaded = true; // state is born here: a second load, and a second lab, start afresh
    undo.push('vfio_pci_core state', () => {
      loaded = false;
    });
    k._printk(KERN_INFO, 'vfio_pci_core: loaded');
    return {
      ksymtab: { vfio_pci_core_loaded: () => loaded },
      module_exit: () => {
        k._printk(KERN_INFO, 'vfio_pci_core: unloaded');
      },
    };
  },
});
