/** The legacy interface. Mirrors `drivers/virtio/virtio_pci_legacy.c` (Linux 6.1). */
import { KernelError } from '@vdpalab/abi';
import type { DriverCoreSymbols } from '@vdpalab/driver-core';
import type { PciDev } from '@vdpalab/pci';
import {
  VIRTIO_MSI_NO_VECTOR, VIRTIO_PCI_CONFIG_OFF, VIRTIO_PCI_ISR, VIRTIO_PCI_QUEUE_ADDR_SHIFT, VIRTIO_PCI_QUEUE_NOTIFY,
  VIRTIO_PCI_VRING_ALIGN,
} from '@vdpalab/uapi';
import type { VirtioPciLegacyDevSymbols } from '@vdpalab/virtio-pci-legacy-dev';
import type { VirtioRingSymbols } from '@vdpalab/virtio-ring';
import type { Access } from './access.ts';

/** What the legacy interface takes. */
export type LegacySymbols =
  & Omit<VirtioPciLegacyDevSymbols, 'vp_legacy_get_driver_features'>
  & Pick<VirtioRingSymbols, 'vring_create_virtqueue' | 'vring_del_virtqueue' | 'vring_transport_features' | 'virtqueue_get_desc_addr'>
  & Pick<DriverCoreSymbols, 'dev_err'>;

const PAGE_SHIFT = 12;
const FEATURES_32 = 0xffff_ffffn;

/**
 * Take the function through its legacy interface.
 *
 * @throws ENODEV ENOMEM EBUSY as `vp_legacy_probe`
 * @see `virtio_pci_legacy_probe`
 */
export function legacyAccess(k: LegacySymbols, pdev: PciDev): Access {
  const ldev = k.vp_legacy_probe(pdev);
  const { ioaddr } = ldev;
  const name = pdev.dev.name;
  const configAt = (offset: number): number => VIRTIO_PCI_CONFIG_OFF(pdev.msix_enabled) + offset;

  function checkRange(offset: number, len: number): undefined {
    if (configAt(offset + len) > ioaddr.size) {
      throw new KernelError('EINVAL', 'virtio_pci.config.ports', `${name}: configuration: ${len} bytes at ${offset} of ${ioaddr.size - configAt(0)}`);
    }
  }

  /** @returns descriptors @throws ENOENT */
  function sizeOf(index: number): number {
    const num = k.vp_legacy_get_queue_size(ldev, index);
    if (num === 0 || k.vp_legacy_get_queue_enable(ldev, index)) {
      throw new KernelError('ENOENT', 'virtio_pci.vq.unavailable', `${name}: queue ${index} of ${num} descriptors is absent or in use`);
    }
    if ((num & (num - 1)) !== 0) {
      throw new KernelError('ENOMEM', 'virtio_pci.vq.size', `${name}: queue ${index}: no ring has ${num} descriptors, not a power of two`);
    }
    return num;
  }

  /** @returns page frame @throws E2BIG */
  function frameOf(index: number, address: number): number {
    const frame = Math.floor(address / 2 ** VIRTIO_PCI_QUEUE_ADDR_SHIFT);
    if (frame <= Number(FEATURES_32)) return frame;
    const limit = 2 ** (32 + PAGE_SHIFT - 30);
    k.dev_err(pdev.dev, `platform bug: legacy virtio-pci must not be used with RAM above 0x${limit.toString(16)}GB`);
    throw new KernelError('E2BIG', 'virtio_pci.vq.frame', `${name}: queue ${index}: its ring at 0x${address.toString(16)} is beyond 44 bits`);
  }

  return {
    legacy: true,
    id: ldev.id,
    config: {
      async get(_, offset, len) {
        checkRange(offset, len);
        return Uint8Array.from({ length: len }, (__, i) => ioaddr.read8(configAt(offset + i)));
      },
      async set(_, offset, bytes) {
        checkRange(offset, bytes.length);
        bytes.forEach((byte, i) => ioaddr.write8(configAt(offset + i), byte));
      },
      get_status: async () => k.vp_legacy_get_status(ldev),
      async set_status(_, status) {
        k.vp_legacy_set_status(ldev, status);
      },
      async reset() {
        k.vp_legacy_set_status(ldev, 0);
        k.vp_legacy_get_status(ldev); // flushes the write
      },
      get_features: async () => k.vp_legacy_get_features(ldev),
      async finalize_features(vdev) {
        vdev.features = k.vring_transport_features(vdev.features) & FEATURES_32;
        k.vp_legacy_set_features(ldev, vdev.features);
      },
    },

    setup_vq(vdev, index, { name: vqName, callback }, vector) {
      const vq = k.vring_create_virtqueue({
        index, num: sizeOf(index), align: VIRTIO_PCI_VRING_ALIGN, vdev, features: vdev.features, may_reduce_num: false, name: vqName,
        callback,
        notify(queue) {
          ioaddr.write16(VIRTIO_PCI_QUEUE_NOTIFY, queue.index);
          return true;
        },
        dma_dev: pdev.dev,
      });
      try {
        k.vp_legacy_set_queue_address(ldev, index, frameOf(index, k.virtqueue_get_desc_addr(vq)));
        if (vector !== VIRTIO_MSI_NO_VECTOR && k.vp_legacy_queue_vector(ldev, index, vector) === VIRTIO_MSI_NO_VECTOR) {
          throw new KernelError('EBUSY', 'virtio_pci.vq.vector', `${name}: queue ${index}: the device did not take vector ${vector}`);
        }
      } catch (error) {
        k.vp_legacy_set_queue_address(ldev, index, 0);
        k.vring_del_virtqueue(vq);
        throw error;
      }
      return vq;
    },
    activate: () => undefined, // a ring's address has started it
    del_vq(vq, msix) {
      if (msix) k.vp_legacy_queue_vector(ldev, vq.index, VIRTIO_MSI_NO_VECTOR);
      k.vp_legacy_set_queue_address(ldev, vq.index, 0);
      return k.vring_del_virtqueue(vq);
    },
    config_vector: (vector) => k.vp_legacy_config_vector(ldev, vector),
    isr: () => ioaddr.read8(VIRTIO_PCI_ISR),
    remove: () => k.vp_legacy_remove(ldev),
  };
}
