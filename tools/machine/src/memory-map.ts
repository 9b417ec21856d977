/** Physical addresses of the machine, laid out as on a PC with 48-bit addresses. */

/** Bytes of a page; the smallest IOMMU mapping. */
export const PAGE_SIZE = 4096;
/** Where RAM stops below 4 GiB. */
export const LOW_RAM_END = 0xc000_0000;
/** Where RAM goes on above 4 GiB. */
export const HIGH_RAM_BASE = 0x1_0000_0000;
/** Window for 32-bit BARs: above low RAM, below the I/O APIC. */
export const PCI_MEM32 = { base: 0xc000_0000, size: 0x3ec0_0000 } as const;
/** I/O ports for BARs: above those of a PC's own devices. */
export const PCI_IO = { base: 0x1000, size: 0xf000 } as const;
/** Physical address of I/O port 0: ports are reached through a window, as on machines without port instructions. */
export const PCI_IO_WINDOW = 0xfec1_0000;
/** Window for 64-bit BARs. */
export const PCI_MEM64 = { base: 0x3800_0000_0000, size: 0x100_0000_0000 } as const;
/** First address of the interrupt message window (Intel SDM volume 3, "Message Signalled Interrupts"). */
export const MSI_BASE = 0xfee0_0000;
/** Last address of the interrupt message window. */
export const MSI_END = 0xfeef_ffff;
/** Where memory of other processes is put: above all RAM and devices' windows below, under the 46 address bits of a page table. */
export const FOREIGN_BASE = 0x1000_0000_0000;
