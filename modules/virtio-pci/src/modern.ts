/** The modern interface. Mirrors `drivers/virtio/virtio_pci_modern.c` (Linux 6.1). */
import { KernelError } from '@vdpalab/abi';
import type { DriverCoreSymbols } from '@vdpalab/driver-core';
import type { PciDev, PciSymbols } from '@vdpalab/pci';
import type { SchedSymbols } from '@vdpalab/sched';
import {
  PCI_EXT_CAP_ID_SRIOV, VIRTIO_F_RING_RESET, VIRTIO_F_SR_IOV, VIRTIO_F_VERSION_1, VIRTIO_MSI_NO_VECTOR,
} from '@vdpalab/uapi';
import type { VirtioSymbols } from '@vdpalab/virtio';
import type { VirtioPciModernDevSymbols, VpNotify } from '@vdpalab/virtio-pci-modern-dev';
import type { VirtioDevice, VirtioRingSymbols, Virtqueue } from '@vdpalab/virtio-ring';
import type { Access } from './access.ts';

/** What the modern interface takes. */
export type ModernSymbols =
  & Omit<VirtioPciModernDevSymbols, 'vp_modern_get_driver_features'>
  & Pick<VirtioRingSymbols,
    | 'vring_create_virtqueue' | 'vring_del_virtqueue' | 'vring_transport_features' | 'virtqueue_get_vring_size'
    | 'virtqueue_get_desc_addr' | 'virtqueue_get_avail_addr' | 'virtqueue_get_used_addr'>
  & Pick<VirtioSymbols, 'virtio_has_feature'>
  & Pick<PciSymbols, 'pci_find_ext_capability' | 'pci_iounmap'> & Pick<DriverCoreSymbols, 'dev_err' | 'dev_warn'>
  & Pick<SchedSymbols, 'msleep'>;

const SMP_CACHE_BYTES = 64;
const bit = (n: number): bigint => 1n << BigInt(n);

/**
 * Take the function through its modern interface.
 *
 * @throws ENODEV when it has none; EINVAL EBUSY as `vp_modern_probe`
 * @see `virtio_pci_modern_probe`
 */
export function modernAccess(k: ModernSymbols, pdev: PciDev): Access {
  const mdev = k.vp_modern_probe(pdev);
  const { device, device_len: configLength } = mdev;
  const name = pdev.dev.name;
  /** Vectors of the queues there are. */
  const vectors = new Map<Virtqueue, number>();
  /** Queues that were taken from the device. */
  const taken = new Set<Virtqueue>();

  function checkRange(offset: number, len: number): undefined {
    if (offset + len > configLength) {
      throw new KernelError('EINVAL', 'virtio_pci.config.range', `${name}: configuration: ${len} bytes at ${offset} of ${configLength}`);
    }
  }

  /** Bits the transport itself knows; the ring has had its say. @see `vp_transport_features` */
  function transportFeatures(kept: bigint, before: bigint): bigint {
    let features = kept;
    if ((before & bit(VIRTIO_F_SR_IOV)) !== 0n && k.pci_find_ext_capability(pdev, PCI_EXT_CAP_ID_SRIOV) !== 0) features |= bit(VIRTIO_F_SR_IOV);
    return features | (before & bit(VIRTIO_F_RING_RESET));
  }

  /** @see `vp_active_vq` */
  function program(vq: Virtqueue, vector: number): undefined {
    k.vp_modern_set_queue_size(mdev, vq.index, k.virtqueue_get_vring_size(vq));
    k.vp_modern_queue_address(mdev, vq.index, BigInt(k.virtqueue_get_desc_addr(vq)), BigInt(k.virtqueue_get_avail_addr(vq)),
      BigInt(k.virtqueue_get_used_addr(vq)));
    if (vector === VIRTIO_MSI_NO_VECTOR) return;
    if (k.vp_modern_queue_vector(mdev, vq.index, vector) === VIRTIO_MSI_NO_VECTOR) {
      throw new KernelError('EBUSY', 'virtio_pci.vq.vector', `${name}: queue ${vq.index}: the device did not take vector ${vector}`);
    }
  }

  /** @returns descriptors @throws EINVAL ENOENT */
  function sizeOf(index: number): number {
    const count = k.vp_modern_get_num_queues(mdev);
    if (index >= count) throw new KernelError('EINVAL', 'virtio_pci.vq.index', `${name}: queue ${index} of ${count}`);
    const num = k.vp_modern_get_queue_size(mdev, index);
    if (num === 0 || k.vp_modern_get_queue_enable(mdev, index)) {
      throw new KernelError('ENOENT', 'virtio_pci.vq.unavailable', `${name}: queue ${index} of ${num} descriptors is absent or in use`);
    }
    if ((num & (num - 1)) !== 0) {
      k.dev_warn(pdev.dev, `bad queue size ${num}`);
      throw new KernelError('EINVAL', 'virtio_pci.vq.size', `${name}: queue ${index}: ${num} descriptors, not a power of two`);
    }
    return num;
  }

  return {
    legacy: false,
    id: mdev.id,
    config: {
      async get(_, offset, len) {
        checkRange(offset, len);
        for (;;) {
          const before = k.vp_modern_generation(mdev);
          const bytes = Uint8Array.from({ length: len }, (__, i) => device?.read8(offset + i) ?? 0);
          if (k.vp_modern_generation(mdev) === before) return bytes;
        }
      },
      async set(_, offset, bytes) {
        checkRange(offset, bytes.length);
        bytes.forEach((byte, i) => device?.write8(offset + i, byte));
      },
      generation: async () => k.vp_modern_generation(mdev),
      get_status: async () => k.vp_modern_get_status(mdev),
      async set_status(_, status) {
        k.vp_modern_set_status(mdev, status);
      },
      async reset() {
        k.vp_modern_set_status(mdev, 0);
        while (k.vp_modern_get_status(mdev) !== 0) await k.msleep(1);
      },
      get_features: async () => k.vp_modern_get_features(mdev),
      async finalize_features(vdev) {
        const before = vdev.features;
        vdev.features = transportFeatures(k.vring_transport_features(before), before);
        if (!k.virtio_has_feature(vdev, VIRTIO_F_VERSION_1)) {
          k.dev_err(vdev.dev, 'virtio: device uses modern interface but does not have VIRTIO_F_VERSION_1');
          throw new KernelError('EINVAL', 'virtio_pci.features.version-1', `${vdev.dev.name}: features 0x${vdev.features.toString(16)} lack VERSION_1`);
        }
        k.vp_modern_set_features(mdev, vdev.features);
      },
      async disable_vq_and_reset(vq) {
        if (!k.virtio_has_feature(vq.vdev, VIRTIO_F_RING_RESET)) {
          throw new KernelError('ENOENT', 'virtio_pci.vq.ring-reset', `${name}: queue ${vq.index}: VIRTIO_F_RING_RESET is not negotiated`);
        }
        await k.vp_modern_set_queue_reset(mdev, vq.index);
        taken.add(vq);
      },
      async enable_vq_after_reset(vq) {
        const busy = !taken.has(vq) || k.vp_modern_get_queue_reset(mdev, vq.index) || k.vp_modern_get_queue_enable(mdev, vq.index);
        if (busy) throw new KernelError('EBUSY', 'virtio_pci.vq.reset', `${name}: queue ${vq.index} was not taken from the device, or it has it still`);
        program(vq, vectors.get(vq) ?? VIRTIO_MSI_NO_VECTOR);
        k.vp_modern_set_queue_enable(mdev, vq.index, true);
        taken.delete(vq);
      },
    },

    setup_vq(vdev: VirtioDevice, index, { name: vqName, callback }, vector) {
      const vq = k.vring_create_virtqueue({
        index, num: sizeOf(index), align: SMP_CACHE_BYTES, vdev, features: vdev.features, may_reduce_num: true, name: vqName, callback,
        notify(queue) {
          const { mem, offset } = queue.priv as VpNotify; // set before the device may run
          mem.write16(offset, queue.index);
          return true;
        },
        dma_dev: pdev.dev,
      });
      try {
        program(vq, vector);
        vq.priv = k.vp_modern_map_vq_notify(mdev, index);
        if (vq.priv === null) throw new KernelError('ENOMEM', 'virtio_pci.vq.notify', `${name}: queue ${index} has no doorbell`);
      } catch (error) {
        k.vring_del_virtqueue(vq);
        throw error;
      }
      vectors.set(vq, vector);
      return vq;
    },
    activate(vqs) {
      for (const vq of vqs) k.vp_modern_set_queue_enable(mdev, vq.index, true);
      return undefined;
    },
    del_vq(vq, msix) {
      if (msix) k.vp_modern_queue_vector(mdev, vq.index, VIRTIO_MSI_NO_VECTOR);
      vectors.delete(vq);
      taken.delete(vq);
      if (mdev.notify_base === null) k.pci_iounmap(pdev, (vq.priv as VpNotify).mem); // set by setup_vq
      return k.vring_del_virtqueue(vq);
    },
    config_vector: (vector) => k.vp_modern_config_vector(mdev, vector),
    isr: () => mdev.isr.read8(0),
    remove: () => k.vp_modern_remove(mdev),
  };
}
