/** vDPA parent on a plain virtio PCI function. Name the Linux 6.1 file it mirrors here. */
import { defineModule } from '@vdpalab/abi';

const KERN_INFO = 6;

export default defineModule({
  name: 'vp_vdpa',
  license: 'GPL v2',
  description: 'vDPA parent on a plain virtio PCI function',
  imports: ['_printk'],
  exportsGpl: ['vp_vdpa_loaded'],

  module_init(k, { undo }) {
    let loaded = true; // state is born here: a second load, and a second lab, start afresh
    undo.push('vp_vdpa state', () => {
      loaded = false;
    });
    k._printk(KERN_INFO, 'vp_vdpa: loaded');
    return {
      ksymtab: { vp_vdpa_loaded: () => loaded },
      module_exit: () => {
        k._printk(KERN_INFO, 'vp_vdpa: unloaded');
      },
    };
  },
});
