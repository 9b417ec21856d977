/** Core driver for mediated device. Name the Linux 6.1 file it mirrors here. */
import { defineModule } from '@vdpalab/abi';

const KERN_INFO = 6;

export default defineModule({
  name: 'mdev',
  license: 'GPL v2',
  description: 'Core driver for mediated device',
  imports: ['_printk'],
  exportsGpl: ['mdev_core_loaded'],

  module_init(k, { undo }) {
    let loaded = true; // state is born here: a second load, and a second lab, start afresh
    undo.push('mdev_core state', () => {
      loaded = false;
    });
    k._printk(KERN_INFO, 'mdev_core: loaded');
    return {
      ksymtab: { mdev_core_loaded: () => loaded },
      module_exit: () => {
        k._printk(KERN_INFO, 'mdev_core: unloaded');
      },
    };
  },
});
