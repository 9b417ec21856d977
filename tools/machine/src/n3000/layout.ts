/** Where an N3000 function's registers lie: BARs 0, 2 and 4, as Linux 6.1 `drivers/vdpa/ifcvf` maps them. */
import { virtio_net_config, virtio_pci_common_cfg } from '@vdpalab/uapi';
import type { BarSpec } from '../pci/bars.ts';
import type { MigrationProfile } from './lm-region.ts';

/** BAR of the virtio structures and of MSI-X. */
export const BAR_REGISTERS = 0;
/** BAR of the doorbells, alone on their pages so that each can be mapped into a process. */
export const BAR_NOTIFY = 2;
/** BAR of the live migration region: `IFCVF_LM_BAR`. */
export const BAR_MIGRATION = 4;

/** Offsets in BAR 0. */
export const COMMON_OFFSET = 0x0000;
export const ISR_OFFSET = 0x0400;
export const DEVICE_OFFSET = 0x0800;
/** What only the physical function has: settings of its virtual ones. */
export const VF_ADMIN_OFFSET = 0x1000;
export const MSIX_TABLE_OFFSET = 0x2000;
export const MSIX_PBA_OFFSET = 0x3000;
const REGISTERS_SIZE = 0x4000;

/** Bytes of the structures. */
export const COMMON_SIZE = virtio_pci_common_cfg.size;
export const ISR_SIZE = 1;
export const DEVICE_SIZE = virtio_net_config.size;

/** `notify_off_multiplier`: bytes from one doorbell to the next. */
export const NOTIFY_STRIDE = 4096;
const NOTIFY_SHIFT = 12;
const MIGRATION_SIZE = 0x1000;

/** Queues of a function: pairs, and a control queue when there is more than one. */
export function queueCount(queuePairs: number): number {
  return 2 * queuePairs + (queuePairs > 1 ? 1 : 0);
}

/** MSI-X vectors of a function: one for the configuration, one for each queue. */
export function vectorCount(queuePairs: number): number {
  return queueCount(queuePairs) + 1;
}

/** The queue whose doorbell an offset in BAR 2 is on. */
export function doorbellQueue(offset: number): number {
  return offset >>> NOTIFY_SHIFT;
}

/** The BARs of a function, all 64-bit. */
export function functionBars(queuePairs: number, profile: MigrationProfile): readonly BarSpec[] {
  const doorbells = 2 ** Math.ceil(Math.log2(queueCount(queuePairs) * NOTIFY_STRIDE));
  return [
    { index: BAR_REGISTERS, size: REGISTERS_SIZE, wide: true, prefetch: false },
    { index: BAR_NOTIFY, size: doorbells, wide: true, prefetch: false },
    ...(profile === 'none' ? [] : [{ index: BAR_MIGRATION, size: MIGRATION_SIZE, wide: true, prefetch: false }]),
  ];
}
