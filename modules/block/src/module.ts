/** Block devices: disks, requests, /dev nodes. Name the Linux 6.1 file it mirrors here. */
import { defineModule } from '@vdpalab/abi';

const KERN_INFO = 6;

export default defineModule({
  name: 'block',
  license: 'GPL v2',
  description: 'Block devices: disks, requests, /dev nodes',
  imports: ['_printk'],
  exportsGpl: ['block_loaded'],

  module_init(k, { undo }) {
    let loaded = true; // state is born here: a second load, and a second lab, start afresh
    undo.push('block state', () => {
      loaded = false;
    });
    k._printk(KERN_INFO, 'block: loaded');
    return {
      ksymtab: { block_loaded: () => loaded },
      module_exit: () => {
        k._printk(KERN_INFO, 'block: unloaded');
      },
    };
  },
});
