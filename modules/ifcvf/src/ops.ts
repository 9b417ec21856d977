/** `vdpa_config_ops` of a function. Mirrors `drivers/vdpa/ifcvf/ifcvf_main.c` (Linux 6.1). */
import { isKernelError, KernelError } from '@vdpalab/abi';
import { VIRTIO_CONFIG_S_DRIVER_OK, VIRTIO_CONFIG_S_FAILED } from '@vdpalab/uapi';
import type { VdpaConfigOps } from '@vdpalab/vdpa-core';
import type { IfcvfHw } from './hardware.ts';
import type { IfcvfIrqs } from './irq.ts';

const PAGE_SIZE = 4096;
/** Smallest queue the hardware takes, in descriptors. */
const IFCVF_QUEUE_MIN = 64;

/**
 * The operations on one function.
 *
 * @param features what the device shows: the hardware's, or the subset it was made with
 */
export function ifcvfOps(hw: IfcvfHw, irqs: IfcvfIrqs, features: bigint): VdpaConfigOps {
  const name = hw.pdev.dev.name;
  return {
    get_device_features: () => features,
    async set_driver_features(_, wanted) {
      hw.verifyFeatures(wanted);
      hw.driverFeatures = wanted;
    },
    get_driver_features: () => hw.driverFeatures,

    get_status: () => hw.status,
    async set_status(_, status) {
      const old = hw.status;
      if (old === status) return;
      if ((status & VIRTIO_CONFIG_S_DRIVER_OK) !== 0 && (old & VIRTIO_CONFIG_S_DRIVER_OK) === 0) {
        try {
          await irqs.request();
        } catch (error) {
          if (!isKernelError(error)) throw error;
          hw.status |= VIRTIO_CONFIG_S_FAILED; // the op has no return value: the status tells
          return;
        }
      }
      hw.status = status;
    },
    async reset() {
      await hw.reset(); // first, so that no interrupt can come any more
      await irqs.free();
      irqs.forgetCallbacks();
    },

    get_vq_num_max: () => hw.maxVqSize,
    get_vq_num_min: () => IFCVF_QUEUE_MIN,
    set_vq_num: (_, qid, num) => hw.setVqNum(qid, num),
    set_vq_address: (_, qid, desc, driver, device) => hw.setVqAddress(qid, desc, driver, device),
    async set_vq_state(_, qid, state) {
      if (state.kind !== 'split') throw new KernelError('EOPNOTSUPP', 'ifcvf.vq.packed', `${name}: queue ${qid}: no packed rings`);
      hw.setVqState(qid, state.avail_index);
    },
    get_vq_state: async (_, qid) => ({ kind: 'split', avail_index: hw.getVqState(qid) }),
    set_vq_ready: async (_, qid, ready) => hw.setVqReady(qid, ready),
    get_vq_ready: (_, qid) => hw.getVqReady(qid),
    kick_vq: (_, qid) => hw.notify(qid),
    set_vq_cb(_, qid, cb) {
      irqs.vqCallbacks[qid] = cb;
      return undefined;
    },
    get_vq_irq: (_, qid) => irqs.vqIrq(qid),
    get_vq_align: () => PAGE_SIZE,
    get_vq_group: () => 0,
    get_vq_notification: (_, qid) => ({
      addr: hw.notifyPa(qid), size: hw.notifyMultiplier === 0 ? PAGE_SIZE : hw.notifyMultiplier,
    }),

    get_device_id: () => hw.type,
    get_vendor_id: () => hw.pdev.subsystem_vendor,
    get_generation: () => hw.generation,
    get_config_size: () => hw.configSize,
    get_config: (_, offset, len) => hw.readConfig(offset, len),
    set_config: async (_, offset, bytes) => hw.writeConfig(offset, bytes),
    set_config_cb(_, cb) {
      irqs.configCallback = cb;
      return undefined;
    },
  };
}
