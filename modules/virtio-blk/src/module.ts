/** The virtio block driver. Mirrors `drivers/block/virtio_blk.c` (Linux 6.1): one queue. */
import { defineModule } from '@vdpalab/abi';
import {
  VIRTIO_BLK_F_BLK_SIZE, VIRTIO_BLK_F_CONFIG_WCE, VIRTIO_BLK_F_DISCARD, VIRTIO_BLK_F_FLUSH, VIRTIO_BLK_F_GEOMETRY, VIRTIO_BLK_F_MQ, VIRTIO_BLK_F_RO,
  VIRTIO_BLK_F_SEG_MAX, VIRTIO_BLK_F_SIZE_MAX, VIRTIO_BLK_F_TOPOLOGY, VIRTIO_BLK_F_WRITE_ZEROES, VIRTIO_ID_BLOCK,
} from '@vdpalab/uapi';
import type { VirtioDriver } from '@vdpalab/virtio';
import { VirtioBlk } from './device.ts';

export default defineModule({
  name: 'virtio_blk',
  license: 'GPL',
  description: 'Virtio block driver',
  alias: ['virtio:d00000002v*'],
  imports: [
    'register_virtio_driver', 'unregister_virtio_driver', 'virtio_has_feature', 'virtio_find_vqs', 'virtio_del_vqs',
    'virtio_reset_device', 'virtio_device_ready', 'virtqueue_add_sgs', 'virtqueue_get_buf', 'virtqueue_kick', 'register_blkdev',
    'unregister_blkdev', 'blk_mq_alloc_disk', 'put_disk', 'device_add_disk', 'del_gendisk', 'set_capacity', 'get_capacity',
    'set_capacity_and_notify', 'set_disk_ro', 'blk_mq_end_request', 'blk_mq_stop_hw_queues', 'blk_mq_start_stopped_hw_queues',
    'blk_execute_rq', 'INIT_WORK', 'queue_work', 'cancel_work_sync', 'alloc_workqueue', 'destroy_workqueue', 'alloc_pages', 'free_pages',
    'phys_view', 'dev_info', 'dev_notice', 'dev_err',
  ],

  async module_init(k, { THIS_MODULE, undo }) {
    const workqueue = k.alloc_workqueue('virtio-blk');
    undo.push('work queue', () => k.destroy_workqueue(workqueue));
    const major = k.register_blkdev(0, 'virtblk');
    undo.push('block major', () => k.unregister_blkdev(major));
    const taken = new Set<number>();
    const shared = { major, workqueue, owner: THIS_MODULE, taken };

    const driver: VirtioDriver = {
      name: 'virtio_blk',
      owner: THIS_MODULE,
      id_table: [{ device: VIRTIO_ID_BLOCK, vendor: null }],
      feature_table: [
        VIRTIO_BLK_F_SEG_MAX, VIRTIO_BLK_F_SIZE_MAX, VIRTIO_BLK_F_RO, VIRTIO_BLK_F_BLK_SIZE, VIRTIO_BLK_F_FLUSH, VIRTIO_BLK_F_TOPOLOGY,
        VIRTIO_BLK_F_GEOMETRY, // taken as Linux takes it; nothing here asks for heads and cylinders
        VIRTIO_BLK_F_CONFIG_WCE, VIRTIO_BLK_F_MQ, VIRTIO_BLK_F_DISCARD, VIRTIO_BLK_F_WRITE_ZEROES,
      ],
      async probe(vdev) {
        const vblk = new VirtioBlk(k, vdev, shared);
        await vblk.probe();
        vdev.priv = vblk;
      },
      async remove(vdev) {
        await (vdev.priv as VirtioBlk).remove(); // set by probe
        vdev.priv = null;
      },
      config_changed: (vdev) => (vdev.priv as VirtioBlk | null)?.configChanged(),
    };
    await k.register_virtio_driver(driver);
    return { ksymtab: {}, module_exit: () => k.unregister_virtio_driver(driver) };
  },
});
