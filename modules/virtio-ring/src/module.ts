/** Driver side of virtqueues. Mirrors `drivers/virtio/virtio_ring.c` (Linux 6.1). */
import { defineModule } from '@vdpalab/abi';
import {
  VIRTIO_F_ACCESS_PLATFORM, VIRTIO_F_ORDER_PLATFORM, VIRTIO_F_RING_PACKED, VIRTIO_F_VERSION_1, VIRTIO_RING_F_EVENT_IDX, VIRTIO_RING_F_INDIRECT_DESC,
  VIRTIO_TRANSPORT_F_END, VIRTIO_TRANSPORT_F_START,
} from '@vdpalab/uapi';
import type { Virtqueue } from './header.ts';
import { VringVirtqueue } from './virtqueue.ts';

/** Transport bits the rings know what to do with. @see `vring_transport_features` */
const known: ReadonlySet<number> = new Set([
  VIRTIO_RING_F_INDIRECT_DESC, VIRTIO_RING_F_EVENT_IDX, VIRTIO_F_VERSION_1, VIRTIO_F_ACCESS_PLATFORM, VIRTIO_F_RING_PACKED,
  VIRTIO_F_ORDER_PLATFORM,
]);

export default defineModule({
  name: 'virtio_ring',
  license: 'GPL',
  imports: [
    'dma_alloc_coherent', 'dma_free_coherent', 'dma_map_single', 'dma_unmap_single', 'alloc_pages', 'free_pages', 'phys_view', 'dev_err',
  ],
  exportsGpl: [
    'vring_create_virtqueue', 'vring_del_virtqueue', 'vring_transport_features', 'vring_interrupt', 'virtqueue_get_vring_size',
    'virtqueue_get_desc_addr', 'virtqueue_get_avail_addr', 'virtqueue_get_used_addr', 'virtqueue_add_sgs', 'virtqueue_kick_prepare',
    'virtqueue_notify', 'virtqueue_kick', 'virtqueue_get_buf', 'virtqueue_disable_cb', 'virtqueue_enable_cb',
    'virtqueue_enable_cb_delayed', 'virtqueue_enable_cb_prepare', 'virtqueue_poll', 'virtqueue_detach_unused_buf',
    'virtqueue_is_broken', 'virtqueue_resize', '__virtqueue_break', '__virtqueue_unbreak', 'virtio_ring_leftovers',
  ],

  module_init(k) {
    const queues = new Set<VringVirtqueue>();
    const own = (vq: Virtqueue): VringVirtqueue => {
      if (!(vq instanceof VringVirtqueue)) throw new TypeError(`${vq.name} is no queue of this virtio_ring`);
      return vq;
    };

    return {
      ksymtab: {
        vring_create_virtqueue(init) {
          const vq = new VringVirtqueue(k, init);
          queues.add(vq);
          return vq;
        },
        vring_del_virtqueue(vq) {
          const queue = own(vq);
          if (!queues.delete(queue)) throw new Error(`${vq.name} is deleted already`);
          return queue.destroy();
        },
        vring_transport_features(features) {
          let kept = features;
          for (let bit = VIRTIO_TRANSPORT_F_START; bit < VIRTIO_TRANSPORT_F_END; bit++) {
            if (!known.has(bit)) kept &= ~(1n << BigInt(bit));
          }
          return kept;
        },
        vring_interrupt: (vq) => own(vq).interrupt(),
        virtqueue_get_vring_size: (vq) => own(vq).memory.num,
        virtqueue_get_desc_addr: (vq) => own(vq).memory.desc,
        virtqueue_get_avail_addr: (vq) => own(vq).memory.avail,
        virtqueue_get_used_addr: (vq) => own(vq).memory.used,
        virtqueue_add_sgs: (vq, out, inp, data) => own(vq).add(out, inp, data),
        virtqueue_kick_prepare: (vq) => own(vq).kickPrepare(),
        virtqueue_notify: (vq) => own(vq).doNotify(),
        virtqueue_kick: (vq) => !own(vq).kickPrepare() || own(vq).doNotify(),
        virtqueue_get_buf: (vq) => own(vq).get(),
        virtqueue_disable_cb: (vq) => own(vq).ring.disableCallbacks(),
        virtqueue_enable_cb: (vq) => own(vq).ring.enableCallbacks(),
        virtqueue_enable_cb_delayed: (vq) => own(vq).ring.enableCallbacksDelayed(),
        virtqueue_enable_cb_prepare: (vq) => own(vq).ring.enableCallbacksPrepare(),
        virtqueue_poll: (vq, mark) => own(vq).ring.poll(mark),
        virtqueue_detach_unused_buf: (vq) => own(vq).detachUnused(),
        virtqueue_is_broken: (vq) => vq.broken,
        virtqueue_resize: (vq, num, recycle) => own(vq).resize(num, recycle),
        __virtqueue_break: (vq) => own(vq).ring.breakRing(),
        __virtqueue_unbreak: (vq) => own(vq).unbreak(),
        virtio_ring_leftovers: () => [...queues].map((vq) => `virtqueue ${vq.name} of ${vq.vdev.dev.name}: ${vq.inFlight} buffers`),
      },
      module_exit() {
        if (queues.size > 0) throw new Error(`virtio_ring: ${queues.size} queues outlive the module`);
      },
    };
  },
});
