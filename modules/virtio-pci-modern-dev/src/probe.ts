/** Finding a function's structures. Mirrors `vp_modern_probe` in `drivers/virtio/virtio_pci_modern_dev.c` (Linux 6.1). */
import { isKernelError, KernelError } from '@vdpalab/abi';
import type { DriverCoreSymbols } from '@vdpalab/driver-core';
import type { IommuSymbols } from '@vdpalab/iommu';
import type { IoMem, PciDev, PciSymbols } from '@vdpalab/pci';
import {
  VIRTIO_PCI_CAP_COMMON_CFG, VIRTIO_PCI_CAP_DEVICE_CFG, VIRTIO_PCI_CAP_ISR_CFG, VIRTIO_PCI_CAP_LENGTH, VIRTIO_PCI_CAP_NOTIFY_CFG,
  VIRTIO_PCI_CAP_OFFSET, VIRTIO_PCI_COMMON_Q_RESET, VIRTIO_PCI_NOTIFY_CAP_MULT, virtio_pci_common_cfg,
} from '@vdpalab/uapi';
import { findCapability, mapCapability } from './capability.ts';
import type { CapabilitySymbols, FoundCapability, MappedStructure, Wanted } from './capability.ts';
import type { VirtioPciModernDevice } from './header.ts';

/** What probing takes. */
export type ProbeSymbols =
  & CapabilitySymbols
  & Pick<PciSymbols, 'pci_iounmap' | 'pci_request_selected_regions' | 'pci_release_selected_regions'>
  & Pick<IommuSymbols, 'dma_set_mask_and_coherent'> & Pick<DriverCoreSymbols, 'dev_info' | 'dev_warn'>;

const PAGE_SIZE = 4096;
/** All of a 64-bit mask that a number holds, and a 32-bit one. */
const DMA_BIT_MASK_64 = Number.MAX_SAFE_INTEGER;
const DMA_BIT_MASK_32 = 0xffff_ffff;
/** Ids of virtio functions: transitional below 0x1040. */
const FIRST_ID = 0x1000;
const FIRST_MODERN_ID = 0x1040;
const LAST_ID = 0x107f;
/** `struct virtio_pci_modern_common_cfg`: the common configuration and the registers behind it. */
const MODERN_COMMON_SIZE = VIRTIO_PCI_COMMON_Q_RESET + 2;

/** The capabilities of a function. */
interface Capabilities {
  readonly common: FoundCapability;
  readonly isr: FoundCapability;
  readonly notify: FoundCapability;
  readonly device: FoundCapability | null;
}

/** `vp_modern_probe` */
export function probe(k: ProbeSymbols, pdev: PciDev): VirtioPciModernDevice {
  const id = idOf(pdev);
  const caps = readCapabilities(k, pdev);
  setMask(k, pdev);
  const bars = Object.values(caps).reduce((mask: number, cap: FoundCapability | null) => mask | (cap === null ? 0 : 1 << cap.bar), 0);
  k.pci_request_selected_regions(pdev, bars, 'virtio-pci-modern');
  const mapped: IoMem[] = [];
  try {
    return { pci_dev: pdev, id, modern_bars: bars, ...mapAll(k, pdev, bars, caps, mapped) };
  } catch (error) {
    for (const mem of mapped.toReversed()) k.pci_iounmap(pdev, mem);
    k.pci_release_selected_regions(pdev, bars);
    throw error;
  }
}

/** `vp_modern_remove` */
export function remove(k: ProbeSymbols, mdev: VirtioPciModernDevice): undefined {
  const { pci_dev: pdev } = mdev;
  for (const mem of [mdev.device, mdev.notify_base, mdev.isr, mdev.common]) if (mem !== null) k.pci_iounmap(pdev, mem);
  return k.pci_release_selected_regions(pdev, mdev.modern_bars) as undefined;
}

/** Transitional functions say what they are in the subsystem id. @throws ENODEV */
function idOf(pdev: PciDev): VirtioPciModernDevice['id'] {
  const { device } = pdev;
  if (device < FIRST_ID || device > LAST_ID) {
    throw new KernelError('ENODEV', 'virtio_pci_modern.probe.id', `${pdev.dev.name}: device 0x${device.toString(16)} is not between 0x1000 and 0x107f`);
  }
  return { device: device < FIRST_MODERN_ID ? pdev.subsystem_device : device - FIRST_MODERN_ID, vendor: pdev.subsystem_vendor };
}

/** @throws ENODEV without a common configuration; EINVAL without what belongs to it */
function readCapabilities(k: ProbeSymbols, pdev: PciDev): Capabilities {
  const common = findCapability(k, pdev, VIRTIO_PCI_CAP_COMMON_CFG);
  if (common === null) {
    k.dev_info(pdev.dev, 'virtio_pci: leaving for legacy driver');
    throw new KernelError('ENODEV', 'virtio_pci_modern.probe.common', `${pdev.dev.name}: no common configuration`);
  }
  const isr = findCapability(k, pdev, VIRTIO_PCI_CAP_ISR_CFG);
  const notify = findCapability(k, pdev, VIRTIO_PCI_CAP_NOTIFY_CFG);
  if (isr === null || notify === null) {
    const text = `missing capabilities ${common.pos}/${isr?.pos ?? 0}/${notify?.pos ?? 0}`;
    k.dev_err(pdev.dev, `virtio_pci: ${text}`);
    throw new KernelError('EINVAL', 'virtio_pci_modern.probe.capabilities', `${pdev.dev.name}: ${text}`);
  }
  return { common, isr, notify, device: findCapability(k, pdev, VIRTIO_PCI_CAP_DEVICE_CFG) };
}

/** 64 bits, or 32; without either it goes on, as Linux does. */
function setMask(k: ProbeSymbols, pdev: PciDev): undefined {
  for (const mask of [DMA_BIT_MASK_64, DMA_BIT_MASK_32]) {
    try {
      k.dma_set_mask_and_coherent(pdev.dev, mask);
      return;
    } catch (error) {
      if (!isKernelError(error)) throw error;
    }
  }
  k.dev_warn(pdev.dev, 'Failed to enable 64-bit or 32-bit DMA.  Trying to continue, but this might not work.');
}

type Mapped = Omit<VirtioPciModernDevice, 'pci_dev' | 'id' | 'modern_bars'>;

/** @param mapped takes what was mapped, oldest first; @throws EINVAL */
function mapAll(k: ProbeSymbols, pdev: PciDev, bars: number, caps: Capabilities, mapped: IoMem[]): Mapped {
  const map = (cap: FoundCapability, what: string, want: Wanted): MappedStructure => {
    const found = mapCapability(k, pdev, bars, cap.pos, want);
    if (found === null) throw new KernelError('EINVAL', 'virtio_pci_modern.probe.map', `${pdev.dev.name}: ${what}: its capability cannot be`);
    mapped.push(found.mem);
    return found;
  };
  const common = map(caps.common, 'common', { minlen: virtio_pci_common_cfg.size, align: 4, start: 0, size: MODERN_COMMON_SIZE });
  const isr = map(caps.isr, 'isr', { minlen: 1, align: 1, start: 0, size: 1 });
  const { pos } = caps.notify;
  const multiplier = k.pci_read_config_dword(pdev, pos + VIRTIO_PCI_NOTIFY_CAP_MULT) >>> 0;
  const length = k.pci_read_config_dword(pdev, pos + VIRTIO_PCI_CAP_LENGTH) >>> 0;
  const offset = k.pci_read_config_dword(pdev, pos + VIRTIO_PCI_CAP_OFFSET) >>> 0;
  // A few doorbells are mapped at once, many one by one.
  const few = length + (offset % PAGE_SIZE) <= PAGE_SIZE;
  const notify = few ? map(caps.notify, 'notify', { minlen: 2, align: 2, start: 0, size: length }) : null;
  const device = caps.device === null ? null : map(caps.device, 'device', { minlen: 0, align: 4, start: 0, size: PAGE_SIZE });
  return {
    common: common.mem, isr: isr.mem, notify_base: notify?.mem ?? null, notify_len: notify?.length ?? 0,
    notify_map_cap: few ? 0 : pos, notify_offset_multiplier: multiplier, device: device?.mem ?? null, device_len: device?.length ?? 0,
  };
}
