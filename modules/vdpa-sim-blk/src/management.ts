/** The management device of the block simulators. Mirrors `vdpasim_blk_dev_add` of `drivers/vdpa/vdpa_sim/vdpa_sim_blk.c` (Linux 6.1). */
import type { Device, DriverCoreSymbols } from '@vdpalab/driver-core';
import {
  VIRTIO_BLK_F_BLK_SIZE, VIRTIO_BLK_F_DISCARD, VIRTIO_BLK_F_FLUSH, VIRTIO_BLK_F_MQ, VIRTIO_BLK_F_SEG_MAX, VIRTIO_BLK_F_SIZE_MAX,
  VIRTIO_BLK_F_TOPOLOGY, VIRTIO_BLK_F_WRITE_ZEROES, VIRTIO_F_ACCESS_PLATFORM, VIRTIO_F_ANY_LAYOUT, VIRTIO_F_VERSION_1,
  VIRTIO_ID_BLOCK, virtio_blk_config,
} from '@vdpalab/uapi';
import type { VdpaMgmtDev, VdpaSymbols } from '@vdpalab/vdpa-core';
import type { VdpaSimSymbols } from '@vdpalab/vdpa-sim';
import { SECTOR_SIZE, VDPASIM_BLK_CAPACITY, VDPASIM_BLK_DWZ_MAX_SECTORS, VDPASIM_BLK_SEG_MAX, VDPASIM_BLK_SIZE_MAX } from './geometry.ts';
import { serveQueue, type WorkSymbols } from './work.ts';

/** What making devices takes. */
export type ManagementSymbols =
  & WorkSymbols & Pick<DriverCoreSymbols, 'put_device'> & Pick<VdpaSimSymbols, 'vdpasim_create'>
  & Pick<VdpaSymbols, '_vdpa_register_device' | '_vdpa_unregister_device'>;

const VDPASIM_BLK_FEATURES = [
  VIRTIO_F_ANY_LAYOUT, VIRTIO_F_VERSION_1, VIRTIO_F_ACCESS_PLATFORM, VIRTIO_BLK_F_FLUSH, VIRTIO_BLK_F_SIZE_MAX, VIRTIO_BLK_F_SEG_MAX,
  VIRTIO_BLK_F_BLK_SIZE, VIRTIO_BLK_F_TOPOLOGY, VIRTIO_BLK_F_MQ, VIRTIO_BLK_F_DISCARD, VIRTIO_BLK_F_WRITE_ZEROES,
].reduce((set, bit) => set | (1n << BigInt(bit)), 0n);
const VDPASIM_BLK_VQ_NUM = 1;

const CONFIG = virtio_blk_config.encode({
  capacity: BigInt(VDPASIM_BLK_CAPACITY), size_max: VDPASIM_BLK_SIZE_MAX, seg_max: VDPASIM_BLK_SEG_MAX, num_queues: VDPASIM_BLK_VQ_NUM,
  min_io_size: 1, opt_io_size: 1, blk_size: SECTOR_SIZE,
  discard_sector_alignment: SECTOR_SIZE, max_discard_sectors: VDPASIM_BLK_DWZ_MAX_SECTORS, max_discard_seg: 1,
  max_write_zeroes_sectors: VDPASIM_BLK_DWZ_MAX_SECTORS, max_write_zeroes_seg: 1,
});

/** The management device on `device`. It says neither its features nor its queues: 6.1 never filled them in. */
export function managementOf(k: ManagementSymbols, device: Device): VdpaMgmtDev {
  return {
    device,
    id_table: [VIRTIO_ID_BLOCK],
    config_attr_mask: 0n,
    supported_features: 0n,
    max_supported_vqs: 0,
    priv: null,
    ops: {
      async dev_add(mdev, name) {
        const sim = await k.vdpasim_create({
          mgmt_dev: mdev, name, id: VIRTIO_ID_BLOCK, supported_features: VDPASIM_BLK_FEATURES, nvqs: VDPASIM_BLK_VQ_NUM, ngroups: 1,
          nas: 1, config_size: virtio_blk_config.size, buffer_size: VDPASIM_BLK_CAPACITY * SECTOR_SIZE,
          work_fn: (of) => serveQueue(k, of), get_config: (_, config) => void config.set(CONFIG),
        });
        try {
          await k._vdpa_register_device(sim.vdpa, VDPASIM_BLK_VQ_NUM);
        } catch (error) {
          k.put_device(sim.vdpa.dev);
          throw error;
        }
      },
      dev_del: (_, vdev) => k._vdpa_unregister_device(vdev),
    },
  };
}
