/** VFIO - User Level meta-driver. Name the Linux 6.1 file it mirrors here. */
import { defineModule } from '@vdpalab/abi';

const KERN_INFO = 6;

export default defineModule({
  name: 'vfio',
  license: 'GPL v2',
  description: 'VFIO - User Level meta-driver',
  imports: ['_printk'],
  exportsGpl: ['vfio_loaded'],

  module_init(k, { undo }) {
    let loaded = true; // state is born here: a second load, and a second lab, start afresh
    undo.push('vfio state', () => {
      loaded = false;
    });
    k._printk(KERN_INFO, 'vfio: loaded');
    return {
      ksymtab: { vfio_loaded: () => loaded },
      module_exit: () => {
        k._printk(KERN_INFO, 'vfio: unloaded');
      },
    };
  },
});
