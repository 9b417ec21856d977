/** Walks through the lists of capabilities. Mirrors `drivers/pci/pci.c` (Linux 6.1). */
import {
  PCI_CAPABILITY_LIST, PCI_CAP_LIST_ID, PCI_CAP_LIST_NEXT, PCI_CFG_SPACE_EXP_SIZE, PCI_CFG_SPACE_SIZE,
  PCI_EXT_CAP_ID, PCI_EXT_CAP_NEXT, PCI_STATUS, PCI_STATUS_CAP_LIST, PCI_STD_HEADER_SIZEOF,
} from '@vdpalab/uapi';
import type { ConfigSpace } from './config.ts';

/** Capabilities a list may have before it is taken for a loop: those that fit behind the header, and the 8 bytes each has at least. */
const CAP_TTL = 48;
const EXT_CAP_TTL = (PCI_CFG_SPACE_EXP_SIZE - PCI_CFG_SPACE_SIZE) / 8;

/** @returns offset of the first capability with that id, 0 when there is none. @see `pci_find_capability` */
export function findCapability(config: ConfigSpace, cap: number): number {
  if ((config.read(PCI_STATUS, 2) & PCI_STATUS_CAP_LIST) === 0) return 0;
  return walk(config, PCI_CAPABILITY_LIST, cap);
}

/** @param pos of a capability; @returns offset of the next one with that id. @see `pci_find_next_capability` */
export function findNextCapability(config: ConfigSpace, pos: number, cap: number): number {
  return walk(config, pos + PCI_CAP_LIST_NEXT, cap);
}

/** @returns offset of the first extended capability with that id, 0 when there is none. @see `pci_find_next_ext_capability` */
export function findExtCapability(config: ConfigSpace, cap: number): number {
  let pos = PCI_CFG_SPACE_SIZE;
  for (let ttl = EXT_CAP_TTL; ttl > 0; ttl--) {
    const header = config.read(pos, 4);
    if (header === 0 || header === 0xffff_ffff) return 0;
    if (PCI_EXT_CAP_ID(header) === cap) return pos;
    pos = PCI_EXT_CAP_NEXT(header);
    if (pos < PCI_CFG_SPACE_SIZE) return 0;
  }
  return 0;
}

/** @param link offset of the byte that points at a capability */
function walk(config: ConfigSpace, link: number, cap: number): number {
  let pos = config.read(link, 1);
  for (let ttl = CAP_TTL; ttl > 0 && pos >= PCI_STD_HEADER_SIZEOF; ttl--) {
    pos &= ~3;
    const id = config.read(pos + PCI_CAP_LIST_ID, 1);
    if (id === 0xff) return 0;
    if (id === cap) return pos;
    pos = config.read(pos + PCI_CAP_LIST_NEXT, 1);
  }
  return 0;
}
