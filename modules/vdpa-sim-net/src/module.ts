/** vDPA simulator of a network device. Name the Linux 6.1 file it mirrors here. */
import { defineModule } from '@vdpalab/abi';

const KERN_INFO = 6;

export default defineModule({
  name: 'vdpa_sim_net',
  license: 'GPL v2',
  description: 'vDPA simulator of a network device',
  imports: ['_printk'],
  exportsGpl: ['vdpa_sim_net_loaded'],

  module_init(k, { undo }) {
    let loaded = true; // state is born here: a second load, and a second lab, start afresh
    undo.push('vdpa_sim_net state', () => {
      loaded = false;
    });
    k._printk(KERN_INFO, 'vdpa_sim_net: loaded');
    return {
      ksymtab: { vdpa_sim_net_loaded: () => loaded },
      module_exit: () => {
        k._printk(KERN_INFO, 'vdpa_sim_net: unloaded');
      },
    };
  },
});
