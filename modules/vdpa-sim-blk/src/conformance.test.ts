/** The simulator is a parent like any other. */
import { describeVdpaParent } from '@vdpalab/testing';

describeVdpaParent({
  name: 'vdpa_sim_blk', modules: ['vdpa-sim', 'vdpa-sim-blk'], handle: 'vdpasim_blk',
  offers: {
    device_id: 2, vendor_id: 0, nvqs: 1, ngroups: 1, nas: 1, features: 0x3_0800_7646n, num_max: 256, num_min: 1, config_size: 72,
    optional: ['get_vq_group', 'suspend', 'get_generation', 'get_iova_range', 'set_group_asid', 'free', 'set_map'], vq_state: 'any',
    config_writable: false,
  },
});
