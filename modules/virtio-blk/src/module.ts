/** The virtio block driver. Name the Linux 6.1 file it mirrors here. */
import { defineModule } from '@vdpalab/abi';

const KERN_INFO = 6;

export default defineModule({
  name: 'virtio_blk',
  license: 'GPL v2',
  description: 'The virtio block driver',
  imports: ['_printk'],
  exportsGpl: ['virtio_blk_loaded'],

  module_init(k, { undo }) {
    let loaded = true; // state is born here: a second load, and a second lab, start afresh
    undo.push('virtio_blk state', () => {
      loaded = false;
    });
    k._printk(KERN_INFO, 'virtio_blk: loaded');
    return {
      ksymtab: { virtio_blk_loaded: () => loaded },
      module_exit: () => {
        k._printk(KERN_INFO, 'virtio_blk: unloaded');
      },
    };
  },
});
