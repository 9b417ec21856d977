/** `linux/pci.h` (Linux 6.1): slot and function in one byte. */

/** The devfn byte of a slot (5 bits) and a function (3 bits). */
export function PCI_DEVFN(slot: number, func: number): number {
  return ((slot & 0x1f) << 3) | (func & 0x07);
}

/** The slot of a devfn byte. */
export function PCI_SLOT(devfn: number): number {
  return (devfn >>> 3) & 0x1f;
}

/** The function of a devfn byte. */
export function PCI_FUNC(devfn: number): number {
  return devfn & 0x07;
}

// include/linux/pci.h: the requester id, which is what DMA carries on the bus.

/** The 16-bit requester id of a bus number and a devfn byte. */
export function PCI_DEVID(bus: number, devfn: number): number {
  return ((bus & 0xff) << 8) | (devfn & 0xff);
}

/** The bus number of a requester id. */
export function PCI_BUS_NUM(devid: number): number {
  return (devid >>> 8) & 0xff;
}
