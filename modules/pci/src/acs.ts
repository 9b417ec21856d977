/** Which functions the IOMMU cannot tell apart. Mirrors `drivers/pci/pci.c`, `drivers/iommu/iommu.c` (Linux 6.1). */
import type { Device } from '@vdpalab/driver-core';
import {
  PCI_ACS_CAP, PCI_ACS_CR, PCI_ACS_CTRL, PCI_ACS_EC, PCI_ACS_RR, PCI_ACS_SV, PCI_ACS_UF, PCI_EXP_TYPE_DOWNSTREAM,
  PCI_EXP_TYPE_ENDPOINT, PCI_EXP_TYPE_LEG_END, PCI_EXP_TYPE_RC_END, PCI_EXP_TYPE_ROOT_PORT, PCI_EXP_TYPE_UPSTREAM,
  PCI_EXT_CAP_ID_ACS, PCI_SLOT,
} from '@vdpalab/uapi';
import { findExtCapability } from './capability.ts';
import { pcieType } from './facts.ts';
import type { PciFunction } from './function.ts';

/** What it takes to keep peers apart: `REQ_ACS_FLAGS`. */
const REQUIRED = PCI_ACS_SV | PCI_ACS_RR | PCI_ACS_CR | PCI_ACS_UF;

/** Switch on what the function can of access control. @see `pci_std_enable_acs` */
export function enableAcs(fn: PciFunction): undefined {
  const pos = findExtCapability(fn.config, PCI_EXT_CAP_ID_ACS);
  if (pos === 0) return;
  const can = fn.config.read(pos + PCI_ACS_CAP, 2) & REQUIRED;
  fn.config.write(pos + PCI_ACS_CTRL, 2, fn.config.read(pos + PCI_ACS_CTRL, 2) | can);
}

/**
 * A device whose group the function must join, because DMA between the two does not pass the IOMMU.
 *
 * @returns `null` when the function gets a group of its own
 * @see drivers/iommu/iommu.c `pci_device_group`
 */
export function groupPeer(fn: PciFunction): Device | null {
  for (let bus = fn.pciBus; bus.parent !== null; bus = bus.parent) {
    const bridge = bus.self;
    if (bridge === null) continue;
    if (pathIsProtected(bridge)) break;
    return bridge.dev;
  }
  if (!sharesSlot(fn)) return null;
  const peer = fn.pciBus.devices.find((other) =>
    other !== fn && other.dev.iommu_group !== null && PCI_SLOT(other.devfn) === PCI_SLOT(fn.devfn) && sharesSlot(other));
  return peer?.dev ?? null;
}

/** Whether requests from below go up through all bridges to the root. @see `pci_acs_path_enabled` */
function pathIsProtected(bridge: PciFunction): boolean {
  for (let at: PciFunction | null = bridge; at !== null; at = at.pciBus.self) {
    if (!isProtected(at)) return false;
  }
  return true;
}

/** @see `pci_acs_enabled` */
function isProtected(fn: PciFunction): boolean {
  switch (pcieType(fn.config, fn.pcieCap)) {
    case PCI_EXP_TYPE_DOWNSTREAM:
    case PCI_EXP_TYPE_ROOT_PORT:
      return controlsAccess(fn);
    case PCI_EXP_TYPE_ENDPOINT:
    case PCI_EXP_TYPE_UPSTREAM:
    case PCI_EXP_TYPE_LEG_END:
    case PCI_EXP_TYPE_RC_END:
      return !fn.multifunction || controlsAccess(fn);
    default:
      return false;
  }
}

/** Several functions of one device, and nothing between them. */
function sharesSlot(fn: PciFunction): boolean {
  return !fn.is_virtfn && fn.multifunction && !isProtected(fn);
}

function controlsAccess(fn: PciFunction): boolean {
  const pos = findExtCapability(fn.config, PCI_EXT_CAP_ID_ACS);
  if (pos === 0) return false;
  // What a function does not implement is taken for not needed; egress control must be off where it exists.
  const wanted = REQUIRED & (fn.config.read(pos + PCI_ACS_CAP, 2) | PCI_ACS_EC);
  return (fn.config.read(pos + PCI_ACS_CTRL, 2) & wanted) === wanted;
}
