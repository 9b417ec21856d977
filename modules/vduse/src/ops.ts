/** `vdpa_config_ops` of a device in user space. Mirrors `drivers/vdpa/vdpa_user/vduse_dev.c` (Linux 6.1). */
import { isKernelError } from '@vdpalab/abi';
import {
  VDUSE_GET_VQ_STATE, VDUSE_SET_STATUS, VDUSE_UPDATE_IOTLB, VIRTIO_F_RING_PACKED, vduse_dev_status, vduse_iova_range, vduse_vq_state,
} from '@vdpalab/uapi';
import type { VdpaConfigOps, VdpaVqState } from '@vdpalab/vdpa-core';
import type { VduseDev } from './device.ts';

const U64_MAX = (1n << 64n) - 1n;
/** Highest bit of a packed ring's index: its wrap counter. */
const one = (n: number): 0 | 1 => (n === 0 ? 0 : 1);

/** `vduse_dev_get_vq_state`: only the process knows. @throws EIO */
async function askVqState(dev: VduseDev, index: number): Promise<VdpaVqState> {
  const body = vduse_vq_state.encode({ index });
  const answer = await dev.messages.ask(VDUSE_GET_VQ_STATE, body, dev.msg_timeout);
  const { packed } = vduse_vq_state.decode(answer.length >= vduse_vq_state.size ? answer : vduse_vq_state.encode());
  if ((dev.driver_features & (1n << BigInt(VIRTIO_F_RING_PACKED))) === 0n) return { kind: 'split', avail_index: packed.last_avail_counter }; // the union
  return {
    kind: 'packed',
    last_avail_counter: one(packed.last_avail_counter & 1), last_avail_idx: packed.last_avail_idx,
    last_used_counter: one(packed.last_used_counter & 1), last_used_idx: packed.last_used_idx,
  };
}

/** `vduse_dev_set_status`: the process is told, and the status is what it was when it does not agree. */
async function tellStatus(dev: VduseDev, status: number): Promise<void> {
  await dev.messages.ask(VDUSE_SET_STATUS, vduse_dev_status.encode({ status }), dev.msg_timeout);
}

/** The operations on one device. */
export function vduseOps(dev: VduseDev): VdpaConfigOps {
  return {
    set_vq_address(_, index, desc, driver, device) {
      const vq = dev.vq(index);
      [vq.desc_addr, vq.driver_addr, vq.device_addr] = [desc, driver, device];
      return undefined;
    },
    set_vq_num: (_, index, num) => void (dev.vq(index).num = num) as undefined,
    kick_vq: (_, index) => dev.kick(index),
    set_vq_cb: (_, index, cb) => void (dev.vq(index).cb = cb) as undefined,
    set_vq_ready: async (_, index, ready) => void (dev.vq(index).ready = ready),
    get_vq_ready: (_, index) => dev.vq(index).ready,
    set_vq_state: async (_, index, state) => void (dev.vq(index).state = state),
    get_vq_state: (_, index) => askVqState(dev, index),
    get_vq_align: () => dev.init.vqAlign,
    get_vq_num_max: () => Math.max(0, ...dev.vqs.map((vq) => vq.num_max)),

    get_device_features: () => dev.init.features,
    set_driver_features: async (_, features) => void (dev.driver_features = features),
    get_driver_features: () => dev.driver_features,
    get_device_id: () => dev.init.deviceId,
    get_vendor_id: () => dev.init.vendorId,

    get_status: () => dev.status,
    async set_status(_, status) {
      try {
        await tellStatus(dev, status);
      } catch (error) {
        if (!isKernelError(error)) throw error;
        return; // the op has no result: whoever reads the status sees that it did not change
      }
      dev.status = status;
    },
    async reset() {
      try {
        await tellStatus(dev, 0);
      } finally {
        await dev.reset();
      }
    },

    get_config_size: () => dev.init.config.length,
    get_config: (_, offset, len) => dev.init.config.slice(offset, offset + len),
    set_config: async () => undefined, // read-only for drivers
    set_config_cb: (_, cb) => void (dev.config_cb = cb) as undefined,
    get_generation: () => dev.generation,

    async set_map(_, __, iotlb) {
      dev.domain.setMap(iotlb);
      try {
        await dev.messages.ask(VDUSE_UPDATE_IOTLB, vduse_iova_range.encode({ start: 0n, last: U64_MAX }), dev.msg_timeout);
      } catch (error) {
        dev.domain.forget();
        throw error;
      }
    },
  };
}
