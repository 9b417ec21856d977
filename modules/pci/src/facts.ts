/** What the header of a function says. Mirrors `drivers/pci/probe.c` (Linux 6.1), `pci_setup_device`. */
import {
  PCI_CAP_ID_EXP, PCI_CAP_ID_SSVID, PCI_CFG_SPACE_EXP_SIZE, PCI_CFG_SPACE_SIZE, PCI_CLASS_REVISION, PCI_DEVICE_ID,
  PCI_EXP_FLAGS, PCI_EXP_FLAGS_TYPE, PCI_HEADER_TYPE, PCI_HEADER_TYPE_BRIDGE, PCI_HEADER_TYPE_MASK, PCI_SUBSYSTEM_ID,
  PCI_SUBSYSTEM_VENDOR_ID, PCI_VENDOR_ID,
} from '@vdpalab/uapi';
import { findCapability } from './capability.ts';
import type { ConfigSpace } from './config.ts';
import type { PciFacts } from './function.ts';

const MULTIFUNCTION = 0x80;
/** Offsets in the subsystem id capability of bridges. */
const PCI_SSVID_VENDOR_ID = 4;
const PCI_SSVID_DEVICE_ID = 6;

/** Whether a function answers. @see `pci_bus_generic_read_dev_vendor_id` */
export function answers(config: ConfigSpace): boolean {
  const id = config.read(PCI_VENDOR_ID, 4);
  return id !== 0xffff_ffff && id !== 0 && id !== 0x0000_ffff && id !== 0xffff_0000;
}

/** Read the header. @returns `null` for a header type that is neither a device's nor a bridge's */
export function readFacts(config: ConfigSpace): PciFacts | null {
  const type = config.read(PCI_HEADER_TYPE, 1);
  const headerType = type & PCI_HEADER_TYPE_MASK;
  if (headerType > PCI_HEADER_TYPE_BRIDGE) return null;
  const classRevision = config.read(PCI_CLASS_REVISION, 4);
  return {
    vendor: config.read(PCI_VENDOR_ID, 2),
    device: config.read(PCI_DEVICE_ID, 2),
    ...subsystem(config, headerType),
    class: classRevision >>> 8,
    revision: classRevision & 0xff,
    headerType,
    multifunction: (type & MULTIFUNCTION) !== 0,
  };
}

/** Offset of the PCI Express capability, 0 without. */
export function pcieCapability(config: ConfigSpace): number {
  return findCapability(config, PCI_CAP_ID_EXP);
}

/** PCI_EXP_TYPE_* of a function, -1 when it is not PCI Express. */
export function pcieType(config: ConfigSpace, pcieCap: number): number {
  return pcieCap === 0 ? -1 : (config.read(pcieCap + PCI_EXP_FLAGS, 2) & PCI_EXP_FLAGS_TYPE) >>> 4;
}

/** Bytes of configuration space that answer. @see `pci_cfg_space_size` */
export function configSize(config: ConfigSpace, pcieCap: number): number {
  if (pcieCap === 0 || config.read(PCI_CFG_SPACE_SIZE, 4) === 0xffff_ffff) return PCI_CFG_SPACE_SIZE;
  return PCI_CFG_SPACE_EXP_SIZE;
}

function subsystem(config: ConfigSpace, headerType: number): Pick<PciFacts, 'subsystem_vendor' | 'subsystem_device'> {
  if (headerType === PCI_HEADER_TYPE_BRIDGE) {
    const pos = findCapability(config, PCI_CAP_ID_SSVID);
    if (pos === 0) return { subsystem_vendor: 0, subsystem_device: 0 };
    return {
      subsystem_vendor: config.read(pos + PCI_SSVID_VENDOR_ID, 2),
      subsystem_device: config.read(pos + PCI_SSVID_DEVICE_ID, 2),
    };
  }
  return { subsystem_vendor: config.read(PCI_SUBSYSTEM_VENDOR_ID, 2), subsystem_device: config.read(PCI_SUBSYSTEM_ID, 2) };
}
