/** virtio devices on PCI. Name the Linux 6.1 file it mirrors here. */
import { defineModule } from '@vdpalab/abi';

const KERN_INFO = 6;

export default defineModule({
  name: 'virtio_pci',
  license: 'GPL v2',
  description: 'virtio devices on PCI',
  imports: ['_printk'],
  exportsGpl: ['virtio_pci_loaded'],

  module_init(k, { undo }) {
    let loaded = true; // state is born here: a second load, and a second lab, start afresh
    undo.push('virtio_pci state', () => {
      loaded = false;
    });
    k._printk(KERN_INFO, 'virtio_pci: loaded');
    return {
      ksymtab: { virtio_pci_loaded: () => loaded },
      module_exit: () => {
        k._printk(KERN_INFO, 'virtio_pci: unloaded');
      },
    };
  },
});
