/** Core of the vDPA simulators. Name the Linux 6.1 file it mirrors here. */
import { defineModule } from '@vdpalab/abi';

const KERN_INFO = 6;

export default defineModule({
  name: 'vdpa_sim',
  license: 'GPL v2',
  description: 'Core of the vDPA simulators',
  imports: ['_printk'],
  exportsGpl: ['vdpa_sim_loaded'],

  module_init(k, { undo }) {
    let loaded = true; // state is born here: a second load, and a second lab, start afresh
    undo.push('vdpa_sim state', () => {
      loaded = false;
    });
    k._printk(KERN_INFO, 'vdpa_sim: loaded');
    return {
      ksymtab: { vdpa_sim_loaded: () => loaded },
      module_exit: () => {
        k._printk(KERN_INFO, 'vdpa_sim: unloaded');
      },
    };
  },
});
