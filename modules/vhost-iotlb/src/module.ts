/** IOTLB tables for vhost and its friends. Mirrors `drivers/vhost/iotlb.c` (Linux 6.1). */
import { defineModule } from '@vdpalab/abi';
import {
  vhost_iotlb_add_range, vhost_iotlb_add_range_ctx, vhost_iotlb_alloc, vhost_iotlb_del_range, vhost_iotlb_itree_first,
  vhost_iotlb_itree_next, vhost_iotlb_map_free, vhost_iotlb_reset,
} from './iotlb.ts';

export default defineModule({
  name: 'vhost_iotlb',
  license: 'GPL v2',
  description: 'VHOST IOTLB',
  author: 'Jason Wang <jasowang@redhat.com>',
  version: '0.1',
  exportsGpl: [
    'vhost_iotlb_add_range_ctx', 'vhost_iotlb_add_range', 'vhost_iotlb_map_free', 'vhost_iotlb_del_range',
    'vhost_iotlb_init', 'vhost_iotlb_alloc', 'vhost_iotlb_reset', 'vhost_iotlb_free', 'vhost_iotlb_itree_first',
    'vhost_iotlb_itree_next',
  ],

  module_init() {
    return {
      ksymtab: {
        vhost_iotlb_add_range_ctx, vhost_iotlb_add_range, vhost_iotlb_map_free, vhost_iotlb_del_range,
        vhost_iotlb_init: vhost_iotlb_alloc,
        vhost_iotlb_alloc, vhost_iotlb_reset,
        vhost_iotlb_free: vhost_iotlb_reset,
        vhost_iotlb_itree_first, vhost_iotlb_itree_next,
      },
      module_exit: () => undefined,
    };
  },
});
