/** A device that translates on the chip is a parent like any other. */
import { describeVdpaParent } from '@vdpalab/testing';
import { activate, echoing, MODULES, SF } from './testing/subfunction.ts';

describeVdpaParent({
  name: 'mlx5_vdpa', builtins: ['pci'], modules: MODULES, handle: SF,
  machine: (seed) => echoing(seed).hw.machine,
  prepare: async (kernel) => void await activate(kernel),
  offers: {
    device_id: 1, vendor_id: 0x15b3, nvqs: 3, ngroups: 2, nas: 2, features: 0x3_00cb_0028n, num_max: 256, num_min: 1, config_size: 24,
    optional: [
      'get_vendor_vq_stats', 'get_vq_notification', 'get_vq_irq', 'get_vq_group', 'suspend', 'get_generation', 'set_map', 'set_group_asid', 'get_vq_dma_dev',
    ],
    vq_state: 'any', config_writable: false,
  },
});
