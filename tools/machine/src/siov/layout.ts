/** Where the registers of a device with assignable interfaces lie. The device is this project's own; no real one is mirrored. */
import { virtio_net_config, virtio_pci_common_cfg } from '@vdpalab/uapi';
import type { BarSpec } from '../pci/bars.ts';

/** BAR of the physical function's own registers and of MSI-X. */
export const BAR_CONTROL = 0;
/** BAR of the interfaces, a window each. */
export const BAR_INTERFACES = 2;

/** Offsets in BAR 0: how many interfaces there are, bytes of a window, interrupt vectors of each. */
export const REG_COUNT = 0x00;
export const REG_WINDOW = 0x04;
export const REG_VECTORS = 0x08;
/** One u32 for each interface: the PASID its DMA carries, with bit 31 set; 0 for none, and no DMA. */
export const REG_PASID = 0x100;
export const PASID_VALID = 0x8000_0000;
export const PASID_MASK = 0xf_ffff;
/** One u32 for each interface: the interface it works for, with bit 31 set; 0 when it works by itself. */
export const REG_LEADER = 0x200;
export const LEADER_VALID = 0x8000_0000;
const LEADER_MASK = 0xff;
/** The interface that a value of {@link REG_LEADER} names, null for none. */
export function leaderOf(value: number): number | null {
  return (value & LEADER_VALID) === 0 ? null : value & LEADER_MASK;
}
export const MSIX_TABLE_OFFSET = 0x2000;
export const MSIX_PBA_OFFSET = 0x3000;
const CONTROL_SIZE = 0x4000;

/** Offsets in an interface's window: virtio's structures, a u32 of ring state for each queue, a page for each doorbell. */
export const COMMON_OFFSET = 0x0000;
export const DEVICE_OFFSET = 0x0800;
export const STATE_OFFSET = 0x1000;
export const DOORBELL_OFFSET = 0x4000;
export const WINDOW_SIZE = 0x8000;
export const COMMON_SIZE = virtio_pci_common_cfg.size;
export const DEVICE_SIZE = virtio_net_config.size;

/** Queues of an interface: one pair, and a control queue. */
export const ADI_QUEUES = 3;
/** Vectors of an interface: one for each queue and one for the configuration. */
export const ADI_VECTORS = ADI_QUEUES + 1;

/** The BARs, both 64-bit. */
export function siovBars(adis: number): readonly BarSpec[] {
  return [
    { index: BAR_CONTROL, size: CONTROL_SIZE, wide: true, prefetch: false },
    { index: BAR_INTERFACES, size: 2 ** Math.ceil(Math.log2(adis * WINDOW_SIZE)), wide: true, prefetch: false },
  ];
}
