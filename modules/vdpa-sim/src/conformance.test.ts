/** The simulators without batches: each mapping is told by itself, and all else is the same. */
import { describeVdpaParent } from '@vdpalab/testing';
import type { Loadable } from '@vdpalab/testing';
import vdpaSim from './module.ts';

const { batch_mapping: batched } = vdpaSim.params;
/** As with `modprobe vdpa_sim batch_mapping=0`. */
const single = { ...vdpaSim, params: { ...vdpaSim.params, batch_mapping: { ...batched, default: 0 } } } as unknown as Loadable; // its init is typed by its symbols

describeVdpaParent({
  name: 'vdpa_sim_net with batch_mapping=0', modules: [single, 'vdpa-sim-net'], handle: 'vdpasim_net',
  offers: {
    device_id: 1, vendor_id: 0, nvqs: 3, ngroups: 2, nas: 2, features: 0x3_0882_0028n, num_max: 256, num_min: 1, config_size: 24,
    optional: ['get_vq_group', 'suspend', 'get_generation', 'get_iova_range', 'set_group_asid', 'free', 'dma_map', 'dma_unmap'],
    vq_state: 'any', config_writable: true,
  },
});
