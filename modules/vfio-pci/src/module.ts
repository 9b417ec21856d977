/** VFIO PCI - User Level meta-driver. Name the Linux 6.1 file it mirrors here. */
import { defineModule } from '@vdpalab/abi';

const KERN_INFO = 6;

export default defineModule({
  name: 'vfio_pci',
  license: 'GPL v2',
  description: 'VFIO PCI - User Level meta-driver',
  imports: ['_printk'],
  exportsGpl: ['vfio_pci_loaded'],

  module_init(k, { undo }) {
    let loaded = true; // state is born here: a second load, and a second lab, start afresh
    undo.push('vfio_pci state', () => {
      loaded = false;
    });
    k._printk(KERN_INFO, 'vfio_pci: loaded');
    return {
      ksymtab: { vfio_pci_loaded: () => loaded },
      module_exit: () => {
        k._printk(KERN_INFO, 'vfio_pci: unloaded');
      },
    };
  },
});
