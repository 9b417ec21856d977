/** Where the registers of a ConnectX function lie: the same in BAR 0 of the physical function and in a subfunction's window of BAR 2. */
import type { BarSpec } from '../pci/bars.ts';

const PAGE_SIZE = 4096;

/** BAR of the physical function's own window and of MSI-X. */
export const BAR_REGISTERS = 0;
/** BAR of the subfunctions, a window each. */
export const BAR_SUBFUNCTIONS = 2;

/** log2 of a window in pages, `log_min_sf_size`: 64 KiB. */
export const LOG_WINDOW_PAGES = 4;
export const WINDOW_SIZE = PAGE_SIZE << LOG_WINDOW_PAGES;

/** Pages of a window: the initialisation segment, then UARs, then the doorbells of virtio queues. MSI-X is the physical function's. */
export const MSIX_TABLE_OFFSET = 0x2000;
export const MSIX_PBA_OFFSET = 0x3000;
export const FIRST_UAR = 4;
export const LAST_UAR = 14;
export const VIRTIO_DOORBELL_OFFSET = 0xf000;

/** Commands in the queue, and bytes of an entry, both as powers of two: what `cmdq_addr_l_sz` reads in its low byte. */
export const LOG_COMMANDS = 5;
export const LOG_COMMAND_STRIDE = 6;

/** First function id of a subfunction; 0 is the physical function. */
export const SF_BASE_ID = 0x8000;

/** The BARs, both 64-bit and prefetchable. @param subfunctions largest number of them */
export function connectxBars(subfunctions: number): readonly BarSpec[] {
  const windows = 2 ** Math.ceil(Math.log2(Math.max(subfunctions, 1) * WINDOW_SIZE));
  return [
    { index: BAR_REGISTERS, size: WINDOW_SIZE, wide: true, prefetch: true },
    { index: BAR_SUBFUNCTIONS, size: windows, wide: true, prefetch: true },
  ];
}
