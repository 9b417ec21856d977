/** vDPA device in user space. Name the Linux 6.1 file it mirrors here. */
import { defineModule } from '@vdpalab/abi';

const KERN_INFO = 6;

export default defineModule({
  name: 'vduse',
  license: 'GPL v2',
  description: 'vDPA device in user space',
  imports: ['_printk'],
  exportsGpl: ['vduse_loaded'],

  module_init(k, { undo }) {
    let loaded = true; // state is born here: a second load, and a second lab, start afresh
    undo.push('vduse state', () => {
      loaded = false;
    });
    k._printk(KERN_INFO, 'vduse: loaded');
    return {
      ksymtab: { vduse_loaded: () => loaded },
      module_exit: () => {
        k._printk(KERN_INFO, 'vduse: unloaded');
      },
    };
  },
});
