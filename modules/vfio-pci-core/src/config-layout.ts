/** Which capability each register belongs to, and how long they are. Mirrors `vfio_cap_init` in `drivers/vfio/pci/vfio_pci_config.c` (Linux 6.1). */
import {
  PCI_CAP_EXP_ENDPOINT_SIZEOF_V1, PCI_CAP_EXP_ENDPOINT_SIZEOF_V2, PCI_CAP_ID_AF, PCI_CAP_ID_EXP, PCI_CAP_ID_MSIX, PCI_CAP_ID_PM,
  PCI_CAP_ID_VNDR, PCI_CAP_LIST_NEXT, PCI_CAP_MSIX_SIZEOF, PCI_CAPABILITY_LIST, PCI_CFG_SPACE_SIZE, PCI_EXP_FLAGS, PCI_EXP_FLAGS_VERS,
  PCI_EXT_CAP_ID_ACS, PCI_EXT_CAP_ID_ARI, PCI_EXT_CAP_ID_SRIOV, PCI_PM_SIZEOF, PCI_STATUS, PCI_STATUS_CAP_LIST, PCI_STD_HEADER_SIZEOF,
} from '@vdpalab/uapi';

/** Registers as the function has them. */
export interface Registers {
  readonly byte: (at: number) => number;
  readonly word: (at: number) => number;
  readonly dword: (at: number) => number;
}

/** The capability that a register belongs to. */
export interface CapabilityAt {
  readonly kind: 'header' | 'standard' | 'extended';
  readonly id: number;
  readonly start: number;
  /** Bytes. */
  readonly size: number;
}

/** What a user sees of configuration space. */
export interface ConfigLayout {
  /** By register of four bytes; null for what belongs to no capability. */
  readonly owners: readonly (CapabilityAt | null)[];
  /** Bytes that differ from the function's: pointers past hidden capabilities. */
  readonly patches: readonly { readonly at: number; readonly size: 1 | 4; readonly value: number }[];
}

/** Standard capabilities that are shown, by id, with their length; the others are hidden. */
function standardSize(id: number, at: number, regs: Registers): number {
  switch (id) {
    case PCI_CAP_ID_PM: return PCI_PM_SIZEOF;
    case PCI_CAP_ID_MSIX: return PCI_CAP_MSIX_SIZEOF;
    case PCI_CAP_ID_VNDR: return regs.byte(at + 2);
    case PCI_CAP_ID_AF: return 6;
    case PCI_CAP_ID_EXP:
      return (regs.word(at + PCI_EXP_FLAGS) & PCI_EXP_FLAGS_VERS) === 1 ? PCI_CAP_EXP_ENDPOINT_SIZEOF_V1 : PCI_CAP_EXP_ENDPOINT_SIZEOF_V2;
    default: return 0;
  }
}

/** The same of extended ones. */
const EXTENDED_SIZE: ReadonlyMap<number, number> = new Map([
  [0x01, 0x2c], [0x03, 12], [0x04, 16], [PCI_EXT_CAP_ID_ACS, 8], [PCI_EXT_CAP_ID_ARI, 8], [0x0f, 8], [PCI_EXT_CAP_ID_SRIOV, 64], [0x13, 16], [0x18, 8],
]);

/** Walk the capability lists. @param cfgSize bytes of configuration space */
export function readLayout(regs: Registers, cfgSize: number): ConfigLayout {
  const owners: (CapabilityAt | null)[] = Array.from({ length: cfgSize / 4 }, () => null);
  const patches: { at: number; size: 1 | 4; value: number }[] = [];
  const claim = (cap: CapabilityAt): void => {
    for (let at = cap.start; at < Math.min(cap.start + cap.size, cfgSize); at += 4) owners[at >> 2] ??= cap;
  };
  claim({ kind: 'header', id: 0, start: 0, size: PCI_STD_HEADER_SIZEOF });
  standardCapabilities(regs, claim, patches);
  if (cfgSize > PCI_CFG_SPACE_SIZE) extendedCapabilities(regs, claim, patches);
  return { owners, patches };
}

type Patches = { at: number; size: 1 | 4; value: number }[];

function standardCapabilities(regs: Registers, claim: (cap: CapabilityAt) => void, patches: Patches): void {
  if ((regs.word(PCI_STATUS) & PCI_STATUS_CAP_LIST) === 0) return;
  let link = PCI_CAPABILITY_LIST;
  let at = regs.byte(link) & ~3;
  for (let left = (PCI_CFG_SPACE_SIZE - PCI_STD_HEADER_SIZEOF) / 4; at >= PCI_STD_HEADER_SIZEOF && left > 0; left--) {
    const id = regs.byte(at);
    const next = regs.byte(at + PCI_CAP_LIST_NEXT) & ~3;
    const size = standardSize(id, at, regs);
    if (size === 0) {
      patches.push({ at: link, size: 1, value: next });
    } else {
      claim({ kind: 'standard', id, start: at, size });
      link = at + PCI_CAP_LIST_NEXT;
    }
    at = next;
  }
}

/** A hidden one at the head of the list stays as an empty link. */
function extendedCapabilities(regs: Registers, claim: (cap: CapabilityAt) => void, patches: Patches): void {
  let last: { at: number; header: number } | null = null;
  let at = PCI_CFG_SPACE_SIZE;
  for (let left = 480; at >= PCI_CFG_SPACE_SIZE && left > 0; left--) {
    const header = regs.dword(at);
    if (header === 0 || header === 0xffff_ffff) return;
    const id = header & 0xffff;
    const next = (header >>> 20) & 0xffc;
    const size = EXTENDED_SIZE.get(id) ?? 0;
    if (size > 0 || last === null) {
      claim({ kind: 'extended', id, start: at, size: size === 0 ? 4 : size });
      last = { at, header: size === 0 ? (header & 0xffc0_0000) >>> 0 : header };
    } else {
      last = { at: last.at, header: ((last.header & 0x000f_ffff) | (next << 20)) >>> 0 };
    }
    patches.push({ at: last.at, size: 4, value: last.header });
    at = next;
  }
}
