/** The common configuration as calls. Mirrors `drivers/virtio/virtio_pci_modern_dev.c` (Linux 6.1). */
import type { Atomic } from '@vdpalab/abi';
import type { DriverCoreSymbols } from '@vdpalab/driver-core';
import type { IoMem } from '@vdpalab/pci';
import type { SchedSymbols } from '@vdpalab/sched';
import {
  VIRTIO_PCI_COMMON_CFGGENERATION, VIRTIO_PCI_COMMON_DF, VIRTIO_PCI_COMMON_DFSELECT, VIRTIO_PCI_COMMON_GF, VIRTIO_PCI_COMMON_GFSELECT,
  VIRTIO_PCI_COMMON_MSIX, VIRTIO_PCI_COMMON_NUMQ, VIRTIO_PCI_COMMON_Q_AVAILLO, VIRTIO_PCI_COMMON_Q_DESCLO, VIRTIO_PCI_COMMON_Q_ENABLE,
  VIRTIO_PCI_COMMON_Q_MSIX, VIRTIO_PCI_COMMON_Q_NOFF, VIRTIO_PCI_COMMON_Q_RESET, VIRTIO_PCI_COMMON_Q_SELECT,
  VIRTIO_PCI_COMMON_Q_SIZE, VIRTIO_PCI_COMMON_Q_USEDLO, VIRTIO_PCI_COMMON_STATUS,
} from '@vdpalab/uapi';
import { mapCapability } from './capability.ts';
import type { CapabilitySymbols } from './capability.ts';
import type { VirtioPciModernDevice, VirtioPciModernDevSymbols } from './header.ts';

/** What the registers take. */
export type RegisterSymbols = CapabilitySymbols & Pick<DriverCoreSymbols, 'dev_warn'> & Pick<SchedSymbols, 'msleep'>;

const features = ({ common }: VirtioPciModernDevice, select: number, at: number): bigint => {
  common.write32(select, 0);
  const low = common.read32(at);
  common.write32(select, 1);
  return (BigInt(common.read32(at) >>> 0) << 32n) | BigInt(low >>> 0);
};

/** @returns the registers with a queue selected */
function select({ common }: VirtioPciModernDevice, index: number): IoMem {
  common.write16(VIRTIO_PCI_COMMON_Q_SELECT, index);
  return common;
}

/** In two halves, as `vp_iowrite64_twopart`. */
function write64(common: IoMem, at: number, value: bigint): Atomic {
  common.write32(at, Number(value & 0xffff_ffffn));
  return common.write32(at + 4, Number(value >> 32n));
}

/** A doorbell's place. @returns `null` when it is outside the structure */
function mapVqNotify(k: RegisterSymbols, mdev: VirtioPciModernDevice, index: number): ReturnType<VirtioPciModernDevSymbols['vp_modern_map_vq_notify']> {
  const { pci_dev: pdev, notify_base: base, notify_offset_multiplier: multiplier } = mdev;
  const off = select(mdev, index).read16(VIRTIO_PCI_COMMON_Q_NOFF);
  if (base === null) {
    const found = mapCapability(k, pdev, mdev.modern_bars, mdev.notify_map_cap, { minlen: 2, align: 2, start: off * multiplier, size: 2 });
    return found === null ? null : { mem: found.mem, offset: 0, pa: found.pa };
  }
  if (off * multiplier + 2 > mdev.notify_len) {
    k.dev_warn(pdev.dev, `bad notification offset ${off} (x ${multiplier}) for queue ${index} > ${mdev.notify_len}`);
    return null;
  }
  return { mem: base, offset: off * multiplier, pa: base.pa + off * multiplier };
}

/** The symbols about a probed function. */
export function registerSymbols(k: RegisterSymbols): Omit<VirtioPciModernDevSymbols, 'vp_modern_probe' | 'vp_modern_remove'> {
  return {
    vp_modern_get_features: (mdev) => features(mdev, VIRTIO_PCI_COMMON_DFSELECT, VIRTIO_PCI_COMMON_DF),
    vp_modern_get_driver_features: (mdev) => features(mdev, VIRTIO_PCI_COMMON_GFSELECT, VIRTIO_PCI_COMMON_GF),
    vp_modern_set_features({ common }, wanted) {
      for (const half of [0, 1]) {
        common.write32(VIRTIO_PCI_COMMON_GFSELECT, half);
        common.write32(VIRTIO_PCI_COMMON_GF, Number((wanted >> BigInt(32 * half)) & 0xffff_ffffn));
      }
      return undefined;
    },
    vp_modern_generation: ({ common }) => common.read8(VIRTIO_PCI_COMMON_CFGGENERATION),
    vp_modern_get_status: ({ common }) => common.read8(VIRTIO_PCI_COMMON_STATUS),
    vp_modern_set_status: ({ common }, status) => common.write8(VIRTIO_PCI_COMMON_STATUS, status),
    vp_modern_queue_vector(mdev, index, vector) {
      const common = select(mdev, index);
      common.write16(VIRTIO_PCI_COMMON_Q_MSIX, vector);
      return common.read16(VIRTIO_PCI_COMMON_Q_MSIX); // reading flushes the write, and tells whether it was taken
    },
    vp_modern_config_vector({ common }, vector) {
      common.write16(VIRTIO_PCI_COMMON_MSIX, vector);
      return common.read16(VIRTIO_PCI_COMMON_MSIX);
    },
    vp_modern_queue_address(mdev, index, desc, driver, device) {
      const common = select(mdev, index);
      write64(common, VIRTIO_PCI_COMMON_Q_DESCLO, desc);
      write64(common, VIRTIO_PCI_COMMON_Q_AVAILLO, driver);
      return write64(common, VIRTIO_PCI_COMMON_Q_USEDLO, device);
    },
    vp_modern_set_queue_enable: (mdev, index, enable) => select(mdev, index).write16(VIRTIO_PCI_COMMON_Q_ENABLE, enable ? 1 : 0),
    vp_modern_get_queue_enable: (mdev, index) => select(mdev, index).read16(VIRTIO_PCI_COMMON_Q_ENABLE) !== 0,
    vp_modern_set_queue_size: (mdev, index, size) => select(mdev, index).write16(VIRTIO_PCI_COMMON_Q_SIZE, size),
    vp_modern_get_queue_size: (mdev, index) => select(mdev, index).read16(VIRTIO_PCI_COMMON_Q_SIZE),
    vp_modern_get_num_queues: ({ common }) => common.read16(VIRTIO_PCI_COMMON_NUMQ),
    vp_modern_get_queue_reset: (mdev, index) => select(mdev, index).read16(VIRTIO_PCI_COMMON_Q_RESET) !== 0,
    async vp_modern_set_queue_reset(mdev, index) {
      select(mdev, index).write16(VIRTIO_PCI_COMMON_Q_RESET, 1);
      while (select(mdev, index).read16(VIRTIO_PCI_COMMON_Q_RESET) !== 0) await k.msleep(1);
      while (select(mdev, index).read16(VIRTIO_PCI_COMMON_Q_ENABLE) !== 0) await k.msleep(1);
    },
    vp_modern_map_vq_notify: (mdev, index) => mapVqNotify(k, mdev, index),
  };
}
