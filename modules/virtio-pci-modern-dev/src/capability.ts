/** Vendor capabilities that say where structures lie. Mirrors `virtio_pci_find_capability` and `vp_modern_map_capability` (Linux 6.1). */
import type { DriverCoreSymbols } from '@vdpalab/driver-core';
import type { IoMem, PciDev, PciSymbols } from '@vdpalab/pci';
import {
  PCI_CAP_ID_VNDR, PCI_STD_NUM_BARS, VIRTIO_PCI_CAP_BAR, VIRTIO_PCI_CAP_CFG_TYPE, VIRTIO_PCI_CAP_LENGTH, VIRTIO_PCI_CAP_OFFSET,
} from '@vdpalab/uapi';

/** What reading capabilities takes. */
export type CapabilitySymbols =
  & Pick<PciSymbols,
    | 'pci_find_capability' | 'pci_find_next_capability' | 'pci_read_config_byte' | 'pci_read_config_dword' | 'pci_resource_len'
    | 'pci_resource_start' | 'pci_iomap_range'>
  & Pick<DriverCoreSymbols, 'dev_err'>;

/** A capability of the wanted type. */
export interface FoundCapability {
  /** Offset in configuration space. */
  readonly pos: number;
  readonly bar: number;
}

/** Capabilities a list may have before it is taken for a circle, which Linux would walk for ever. */
const CAP_TTL = 48;

/** The first capability of a type whose BAR exists; those with reserved BAR numbers are passed over. */
export function findCapability(k: CapabilitySymbols, pdev: PciDev, type: number): FoundCapability | null {
  let pos = k.pci_find_capability(pdev, PCI_CAP_ID_VNDR);
  for (let ttl = CAP_TTL; pos !== 0 && ttl > 0; ttl--, pos = k.pci_find_next_capability(pdev, pos, PCI_CAP_ID_VNDR)) {
    const bar = k.pci_read_config_byte(pdev, pos + VIRTIO_PCI_CAP_BAR);
    if (bar >= PCI_STD_NUM_BARS || k.pci_read_config_byte(pdev, pos + VIRTIO_PCI_CAP_CFG_TYPE) !== type) continue;
    if (k.pci_resource_len(pdev, bar) > 0) return { pos, bar };
  }
  return null;
}

/** What part of a structure is wanted. */
export interface Wanted {
  /** Least bytes there must be. */
  readonly minlen: number;
  /** Alignment of the place, in bytes, a power of two. */
  readonly align: number;
  /** Bytes to skip. */
  readonly start: number;
  /** Most bytes to map. */
  readonly size: number;
}

/** A mapped structure. */
export interface MappedStructure {
  readonly mem: IoMem;
  /** Bytes mapped. */
  readonly length: number;
  readonly pa: number;
}

const TWO_32 = 0x1_0000_0000;

/**
 * Map a structure.
 *
 * @param bars those reserved, bit per BAR
 * @returns `null`, and a line in the log, when what the capability says cannot be
 */
export function mapCapability(k: CapabilitySymbols, pdev: PciDev, bars: number, pos: number, want: Wanted): MappedStructure | null {
  const bar = k.pci_read_config_byte(pdev, pos + VIRTIO_PCI_CAP_BAR);
  const offset = k.pci_read_config_dword(pdev, pos + VIRTIO_PCI_CAP_OFFSET) >>> 0;
  const length = k.pci_read_config_dword(pdev, pos + VIRTIO_PCI_CAP_LENGTH) >>> 0;
  const refuse = (text: string): null => {
    k.dev_err(pdev.dev, `virtio_pci: ${text}`);
    return null;
  };
  if (bar >= PCI_STD_NUM_BARS || (bars & (1 << bar)) === 0) return refuse(`bar unexpectedly changed to ${bar}`);
  if (length <= want.start) return refuse(`bad capability len ${length} (>${want.start} expected)`);
  if (length - want.start < want.minlen) return refuse(`bad capability len ${length} (>=${want.minlen} expected)`);
  if (want.start + offset >= TWO_32) return refuse(`map wrap-around ${want.start}+${offset}`);
  const at = offset + want.start;
  if ((at & (want.align - 1)) !== 0) return refuse(`offset ${at} not aligned to ${want.align}`);
  const mapped = Math.min(length - want.start, want.size);
  const room = k.pci_resource_len(pdev, bar);
  if (want.minlen + at > room) return refuse(`map virtio ${want.minlen}@${at} out of range on bar ${bar} length ${room}`);
  try {
    const mem = k.pci_iomap_range(pdev, bar, at, mapped);
    return { mem, length: mapped, pa: k.pci_resource_start(pdev, bar) + at };
  } catch {
    return refuse(`unable to map virtio ${mapped}@${at} on bar ${bar}`);
  }
}
