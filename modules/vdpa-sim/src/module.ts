/** Core of the vDPA simulators. Mirrors `drivers/vdpa/vdpa_sim/vdpa_sim.c` (Linux 6.1). */
import { defineModule, KERNEL_VERSION, param } from '@vdpalab/abi';
import { createSim } from './device.ts';

export default defineModule({
  name: 'vdpa_sim',
  license: 'GPL v2',
  description: 'vDPA Device Simulator core',
  author: 'Jason Wang <jasowang@redhat.com>',
  version: '0.1',
  params: {
    batch_mapping: param.int(1, { perm: 0o444, desc: 'Batched mapping 1 -Enable; 0 - Disable' }),
    max_iotlb_entries: param.int(2048, {
      perm: 0o444, desc: 'Maximum number of iotlb entries for each address space. (default: 2048)',
    }),
  },
  imports: [
    'vhost_iotlb_reset', 'queue_work', 'vhost_iotlb_add_range', 'free_iova', 'vringh_set_iotlb', 'vringh_init_iotlb',
    'vhost_iotlb_del_range', '__vdpa_alloc_device', 'put_device', 'alloc_iova', 'vhost_iotlb_init', 'put_iova_domain',
    'vhost_iotlb_itree_first', 'vhost_iotlb_itree_next', 'set_dma_ops', 'init_iova_domain', 'INIT_WORK',
    'vhost_iotlb_add_range_ctx', 'dma_set_mask_and_coherent', 'system_wq',
  ],
  exportsGpl: ['vdpasim_create'],

  module_init: (k, { params, LINUX_VERSION_CODE }) => ({
    ksymtab: {
      vdpasim_create: (attr) => createSim(k, attr, {
        batchMapping: params.batch_mapping !== 0, maxIotlbEntries: params.max_iotlb_entries, resumes: LINUX_VERSION_CODE >= KERNEL_VERSION(6, 4),
      }),
    },
    module_exit: () => undefined,
  }),
});
