/** A device that a process serves is a parent like any other: the process is started before, and ends after. */
import { UserProcess } from '@vdpalab/lab';
import { describeVdpaParent } from '@vdpalab/testing';
import {
  VIRTIO_BLK_F_BLK_SIZE, VIRTIO_BLK_F_FLUSH, VIRTIO_BLK_F_SEG_MAX, VIRTIO_F_ACCESS_PLATFORM, VIRTIO_F_VERSION_1, virtio_blk_config,
} from '@vdpalab/uapi';
import { VduseDisk } from '@vdpalab/user';

const bits = (...numbers: number[]): bigint => numbers.reduce((all, n) => all | (1n << BigInt(n)), 0n);
const disks = new WeakMap<object, VduseDisk>();

describeVdpaParent({
  name: 'vduse', modules: ['vduse'], handle: 'vduse', memory: 'process',
  async prepare({ k, run, settle }) {
    await run(async () => {
      const proc = k.process_create('disk');
      const p = new UserProcess(k, proc);
      k.process_run(proc, 'disk', async () => {
        const disk = await VduseDisk.create(p, 'vdpa0', { contents: new Uint8Array(64 * 512) });
        disks.set(k, disk);
        await disk.serve();
        await disk.destroy();
        await k.process_exit(proc);
      });
    });
    await settle();
  },
  async finish({ k, run, settle }) {
    await run(async () => disks.get(k)?.end());
    await settle();
  },
  offers: {
    device_id: 2, vendor_id: 0, nvqs: 1, ngroups: 1, nas: 1,
    features: bits(VIRTIO_F_ACCESS_PLATFORM, VIRTIO_F_VERSION_1, VIRTIO_BLK_F_SEG_MAX, VIRTIO_BLK_F_BLK_SIZE, VIRTIO_BLK_F_FLUSH),
    num_max: 128, num_min: 1, config_size: virtio_blk_config.size,
    optional: ['set_map', 'get_generation', 'free'], vq_state: 'any', config_writable: false,
  },
});
