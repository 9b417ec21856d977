/** The virtio transport over `vdpa_config_ops`, one op to one op. Mirrors `drivers/virtio/virtio_vdpa.c` (Linux 6.1). */
import { isKernelError, KernelError, UndoStack } from '@vdpalab/abi';
import type { VdpaDevice, VdpaSymbols, VdpaVqState } from '@vdpalab/vdpa-core';
import { VIRTIO_F_RING_PACKED } from '@vdpalab/uapi';
import type { VirtioConfigOps, VirtioSymbols, VqRequest } from '@vdpalab/virtio';
import type { VirtioDevice, VirtioRingSymbols, Virtqueue } from '@vdpalab/virtio-ring';

/** What the transport calls. */
export type TransportSymbols =
  & Pick<VdpaSymbols, 'vdpa_get_config' | 'vdpa_set_config' | 'vdpa_set_status'>
  & Pick<VirtioSymbols, 'virtio_config_changed'>
  & Pick<VirtioRingSymbols,
    | 'vring_create_virtqueue' | 'vring_del_virtqueue' | 'vring_interrupt' | 'vring_transport_features' | 'virtqueue_get_vring_size'
    | 'virtqueue_get_desc_addr' | 'virtqueue_get_avail_addr' | 'virtqueue_get_used_addr'>;

/** Where a fresh queue begins. */
const initialState = (packed: boolean): VdpaVqState => packed
  ? { kind: 'packed', last_avail_counter: 1, last_avail_idx: 0, last_used_counter: 1, last_used_idx: 0 }
  : { kind: 'split', avail_index: 0 };

/**
 * The config ops of one vDPA device's virtio face.
 *
 * @param vdpa the device underneath
 */
export function createTransport(k: TransportSymbols, vdpa: VdpaDevice): VirtioConfigOps {
  const ops = vdpa.config;
  /** Queues that are set up, in order. */
  const queues: Virtqueue[] = [];

  /** Hand the ring to the parent, queue off. @throws EINVAL when it takes the addresses not */
  async function program(vdev: VirtioDevice, vq: Virtqueue): Promise<void> {
    ops.set_vq_cb(vdpa, vq.index, {
      callback() {
        k.vring_interrupt(vq);
        return undefined;
      },
      trigger: null,
    });
    ops.set_vq_num(vdpa, vq.index, k.virtqueue_get_vring_size(vq));
    const areas = [k.virtqueue_get_desc_addr(vq), k.virtqueue_get_avail_addr(vq), k.virtqueue_get_used_addr(vq)] as const;
    try {
      ops.set_vq_address(vdpa, vq.index, BigInt(areas[0]), BigInt(areas[1]), BigInt(areas[2]));
    } catch (cause) {
      throw new KernelError('EINVAL', 'virtio_vdpa.vq.address', `${vdpa.dev.name}: queue ${vq.index}: addresses refused`, { cause });
    }
    await ops.set_vq_state(vdpa, vq.index, initialState((vdev.features & (1n << BigInt(VIRTIO_F_RING_PACKED))) !== 0n));
    await ops.set_vq_ready(vdpa, vq.index, true);
  }

  async function setupVq(vdev: VirtioDevice, index: number, name: string, callback: VqRequest['callback']): Promise<Virtqueue> {
    const refuse = (rule: string, text: string): never => {
      throw new KernelError('ENOENT', `virtio_vdpa.vq.${rule}`, `${vdpa.dev.name}: queue ${index}: ${text}`);
    };
    if (index >= vdpa.nvqs) refuse('index', `there are ${vdpa.nvqs}`);
    if (ops.get_vq_ready(vdpa, index)) refuse('ready', 'it is in use');
    const max = ops.get_vq_size?.(vdpa, index) ?? ops.get_vq_num_max(vdpa);
    if (max === 0) refuse('size', 'its size is 0');
    const vq = k.vring_create_virtqueue({
      index, num: max, align: ops.get_vq_align(vdpa), vdev, features: vdev.features,
      may_reduce_num: max !== (ops.get_vq_num_min?.(vdpa) ?? 1),
      notify: (queue) => {
        ops.kick_vq(vdpa, queue.index);
        return true;
      },
      callback, name,
      dma_dev: ops.get_vq_dma_dev?.(vdpa, index) ?? vdpa.dma_dev,
    });
    try {
      await program(vdev, vq);
    } catch (error) {
      await delVq(vq);
      throw error;
    }
    return vq;
  }

  /** Queue off first, so that nothing reaches into memory that is given back; the memory goes even when the parent refuses. */
  async function delVq(vq: Virtqueue): Promise<void> {
    try {
      await ops.set_vq_ready(vdpa, vq.index, false);
    } finally {
      ops.set_vq_cb(vdpa, vq.index, null);
      k.vring_del_virtqueue(vq);
    }
  }

  async function delVqs(): Promise<void> {
    const steps = new UndoStack();
    for (const vq of queues.splice(0).reverse()) steps.push(vq.name, () => delVq(vq)); // an undo stack runs backwards
    await steps.run();
  }

  return {
    get: (_, offset, len) => k.vdpa_get_config(vdpa, offset, len),
    set: (_, offset, bytes) => k.vdpa_set_config(vdpa, offset, bytes),
    generation: async () => ops.get_generation?.(vdpa) ?? 0,
    get_status: async () => ops.get_status(vdpa),
    set_status: (_, status) => k.vdpa_set_status(vdpa, status),
    async reset() {
      try {
        await vdpa.reset();
      } catch (error) {
        if (!isKernelError(error)) throw error; // the op has no result: whoever reads the status sees what became of it
      }
    },
    get_features: async () => ops.get_device_features(vdpa),
    async finalize_features(vdev) {
      vdev.features = k.vring_transport_features(vdev.features);
      await vdpa.set_features(vdev.features);
    },
    bus_name: () => vdpa.dev.name,

    async find_vqs(vdev, requests) {
      const found: (Virtqueue | null)[] = [];
      let index = 0;
      try {
        for (const { name, callback } of requests) {
          const vq = name === null ? null : await setupVq(vdev, index++, name, callback);
          if (vq !== null) queues.push(vq);
          found.push(vq);
        }
      } catch (error) {
        await delVqs();
        throw error;
      }
      ops.set_config_cb(vdpa, { callback: () => k.virtio_config_changed(vdev) });
      return found;
    },
    async del_vqs() {
      await delVqs();
      ops.set_config_cb(vdpa, null);
    },
  };
}
