/**
 * Which bits of configuration space a user sees as they are, and which ones it may write.
 *
 * Mirrors `vfio_pci_init_perm_bits` in `drivers/vfio/pci/vfio_pci_config.c` (Linux 6.1).
 */
import {
  PCI_AF_CTRL, PCI_AF_CTRL_FLR, PCI_BASE_ADDRESS_0, PCI_BIST, PCI_CACHE_LINE_SIZE, PCI_CAP_ID_AF, PCI_CAP_ID_EXP, PCI_CAP_ID_PM,
  PCI_CAP_LIST_NEXT, PCI_CAPABILITY_LIST, PCI_COMMAND, PCI_COMMAND_INTX_DISABLE, PCI_DEVICE_ID, PCI_EXP_DEVCTL, PCI_EXP_DEVCTL2,
  PCI_EXP_DEVCTL_BCR_FLR, PCI_EXP_DEVCTL_PAYLOAD, PCI_EXP_DEVCTL_PHANTOM, PCI_EXP_DEVCTL_READRQ, PCI_EXP_DEVCTL2_ARI, PCI_INTERRUPT_LINE,
  PCI_INTERRUPT_PIN, PCI_LATENCY_TIMER, PCI_PM_CAP_PME_MASK, PCI_PM_CTRL, PCI_PM_CTRL_PME_ENABLE, PCI_PM_CTRL_PME_STATUS, PCI_PM_CTRL_STATE_MASK,
  PCI_PM_PMC, PCI_PM_SIZEOF, PCI_ROM_ADDRESS, PCI_STATUS, PCI_STATUS_CAP_LIST, PCI_STD_HEADER_SIZEOF, PCI_VENDOR_ID,
} from '@vdpalab/uapi';

/** `struct perm_bits`: by byte of a capability. */
export class PermBits {
  /** Bits whose value is the user's own, not the function's. */
  readonly virt: Uint8Array;
  /** Bits the user may change. */
  readonly write: Uint8Array;

  constructor(size: number) {
    this.virt = new Uint8Array(size);
    this.write = new Uint8Array(size);
  }

  /** Say how a register is. */
  set(at: number, size: 1 | 2 | 4, virt: number, write: number): this {
    for (let i = 0; i < size; i++) {
      this.virt[at + i] = virt >>> (8 * i);
      this.write[at + i] = write >>> (8 * i);
    }
    return this;
  }
}

const ALL = 0xffff_ffff;

/** The header. @see `init_pci_cap_basic_perm` */
export const HEADER_PERMS = header();

function header(): PermBits {
  const perms = new PermBits(PCI_STD_HEADER_SIZEOF)
    .set(PCI_VENDOR_ID, 2, ALL, 0)
    .set(PCI_DEVICE_ID, 2, ALL, 0)
    .set(PCI_COMMAND, 2, PCI_COMMAND_INTX_DISABLE, ALL)
    .set(PCI_STATUS, 2, PCI_STATUS_CAP_LIST, 0)
    .set(PCI_CACHE_LINE_SIZE, 1, 0, ALL)
    .set(PCI_LATENCY_TIMER, 1, 0, ALL)
    .set(PCI_BIST, 1, 0, ALL)
    .set(PCI_ROM_ADDRESS, 4, ALL, ALL)
    .set(PCI_CAPABILITY_LIST, 1, ALL, 0)
    .set(PCI_INTERRUPT_LINE, 1, ALL, ALL)
    .set(PCI_INTERRUPT_PIN, 1, ALL, 0);
  for (let bar = 0; bar < 6; bar++) perms.set(PCI_BASE_ADDRESS_0 + 4 * bar, 4, ALL, ALL);
  return perms;
}

/** Standard capabilities with bits of their own; the others are read as they are and not written. */
export const STANDARD_PERMS: ReadonlyMap<number, PermBits> = new Map([
  [PCI_CAP_ID_PM, new PermBits(PCI_PM_SIZEOF)
    .set(PCI_CAP_LIST_NEXT, 1, ALL, 0)
    .set(PCI_PM_PMC, 2, PCI_PM_CAP_PME_MASK, 0)
    .set(PCI_PM_CTRL, 4, PCI_PM_CTRL_PME_ENABLE | PCI_PM_CTRL_PME_STATUS, ~(PCI_PM_CTRL_PME_ENABLE | PCI_PM_CTRL_PME_STATUS | PCI_PM_CTRL_STATE_MASK))],
  [PCI_CAP_ID_EXP, new PermBits(0x3c)
    .set(PCI_CAP_LIST_NEXT, 1, ALL, 0)
    .set(PCI_EXP_DEVCTL, 2, PCI_EXP_DEVCTL_BCR_FLR | PCI_EXP_DEVCTL_PAYLOAD | PCI_EXP_DEVCTL_READRQ, ~PCI_EXP_DEVCTL_PHANTOM)
    .set(PCI_EXP_DEVCTL2, 2, 0, ~PCI_EXP_DEVCTL2_ARI)],
  [PCI_CAP_ID_AF, new PermBits(8).set(PCI_CAP_LIST_NEXT, 1, ALL, 0).set(PCI_AF_CTRL, 1, PCI_AF_CTRL_FLR, PCI_AF_CTRL_FLR)],
]);
