/** vDPA simulator of a block device. Name the Linux 6.1 file it mirrors here. */
import { defineModule } from '@vdpalab/abi';

const KERN_INFO = 6;

export default defineModule({
  name: 'vdpa_sim_blk',
  license: 'GPL v2',
  description: 'vDPA simulator of a block device',
  imports: ['_printk'],
  exportsGpl: ['vdpa_sim_blk_loaded'],

  module_init(k, { undo }) {
    let loaded = true; // state is born here: a second load, and a second lab, start afresh
    undo.push('vdpa_sim_blk state', () => {
      loaded = false;
    });
    k._printk(KERN_INFO, 'vdpa_sim_blk: loaded');
    return {
      ksymtab: { vdpa_sim_blk_loaded: () => loaded },
      module_exit: () => {
        k._printk(KERN_INFO, 'vdpa_sim_blk: unloaded');
      },
    };
  },
});
