/** The simulator is a parent like any other. */
import { describeVdpaParent } from '@vdpalab/testing';
import type { OptionalOp } from '@vdpalab/testing';

const COMMON: readonly OptionalOp[] = ['get_vq_group', 'suspend', 'get_generation', 'get_iova_range', 'set_group_asid', 'free'];

describeVdpaParent({
  name: 'vdpa_sim_net', modules: ['vdpa-sim', 'vdpa-sim-net'], handle: 'vdpasim_net',
  offers: {
    device_id: 1, vendor_id: 0, nvqs: 3, ngroups: 2, nas: 2, features: 0x3_0882_0028n, num_max: 256, num_min: 1, config_size: 24,
    optional: [...COMMON, 'set_map'], vq_state: 'any', config_writable: true,
  },
});
