/** The SR-IOV capability of a PF. Mirrors `drivers/pci/iov.c` (Linux 6.1), `sriov_init`. */
import {
  PCI_EXP_TYPE_ENDPOINT, PCI_EXP_TYPE_RC_END, PCI_EXT_CAP_ID_SRIOV, PCI_SRIOV_BAR, PCI_SRIOV_CAP, PCI_SRIOV_CTRL,
  PCI_SRIOV_CTRL_ARI, PCI_SRIOV_CTRL_VFE, PCI_SRIOV_FUNC_LINK, PCI_SRIOV_NUM_BARS, PCI_SRIOV_NUM_VF,
  PCI_SRIOV_SUP_PGSIZE, PCI_SRIOV_SYS_PGSIZE, PCI_SRIOV_TOTAL_VF, PCI_SRIOV_VF_DID, PCI_SRIOV_VF_OFFSET,
  PCI_SRIOV_VF_STRIDE,
} from '@vdpalab/uapi';
import { readBars } from './bar.ts';
import { findExtCapability } from './capability.ts';
import type { ConfigSpace } from './config.ts';
import { pcieType } from './facts.ts';
import type { PciFunction } from './function.ts';
import type { Resource } from './ioresource.ts';

const PAGE_SIZE = 4096;

/** `struct pci_sriov` */
export interface SriovState {
  /** Offset of the capability. */
  readonly pos: number;
  readonly cap: number;
  /** The control register as last written. */
  ctrl: number;
  readonly totalVfs: number;
  numVfs: number;
  /** Routing ids: the first VF's distance from the PF, and each VF's from the one before. */
  offset: number;
  stride: number;
  readonly vfDevice: number;
  readonly pageSize: number;
  /** Which function of the device the VFs depend on. */
  readonly link: number;
  /** What each VF BAR takes for all VFs; `align` is one VF's share. */
  readonly resource: readonly Resource[];
  /** `sriov_drivers_autoprobe` */
  driversAutoprobe: boolean;
  /** By number; empty when off. */
  readonly vfs: Map<number, PciFunction>;
}

/** What the reading needs beyond the registers. */
export interface SriovNeeds {
  readonly config: ConfigSpace;
  readonly pcieCap: number;
  readonly devfn: number;
  /** Whether the bridge above forwards by routing id. */
  readonly ari: boolean;
  readonly msleep: (ms: number) => Promise<void>;
}

/** Read the capability, and switch off what firmware left on. @returns `null` when the function is no PF, or a broken one */
export async function readSriov({ config, pcieCap, devfn, ari, msleep }: SriovNeeds): Promise<SriovState | null> {
  const type = pcieType(config, pcieCap);
  if (type !== PCI_EXP_TYPE_ENDPOINT && type !== PCI_EXP_TYPE_RC_END) return null;
  const pos = findExtCapability(config, PCI_EXT_CAP_ID_SRIOV);
  if (pos === 0) return null;
  if ((config.read(pos + PCI_SRIOV_CTRL, 2) & PCI_SRIOV_CTRL_VFE) !== 0) {
    config.write(pos + PCI_SRIOV_CTRL, 2, 0);
    await msleep(1000);
  }
  const totalVfs = config.read(pos + PCI_SRIOV_TOTAL_VF, 2);
  if (totalVfs === 0) return null;
  const ctrl = ari ? PCI_SRIOV_CTRL_ARI : 0;
  config.write(pos + PCI_SRIOV_CTRL, 2, ctrl);
  const supported = config.read(pos + PCI_SRIOV_SUP_PGSIZE, 4);
  if (supported === 0) return null;
  const pageSize = (supported & -supported) >>> 0;
  config.write(pos + PCI_SRIOV_SYS_PGSIZE, 4, pageSize);
  const resource = readBars(config, pos + PCI_SRIOV_BAR, PCI_SRIOV_NUM_BARS);
  if (resource.some(({ size }) => size % PAGE_SIZE !== 0)) return null;
  for (const res of resource) res.size *= totalVfs;
  const routing = readRouting(config, pos, totalVfs);
  if (routing === null) return null;
  const link = config.read(pos + PCI_SRIOV_FUNC_LINK, 1);
  return {
    pos, ctrl, totalVfs, pageSize, resource, ...routing,
    cap: config.read(pos + PCI_SRIOV_CAP, 4),
    numVfs: 0,
    vfDevice: config.read(pos + PCI_SRIOV_VF_DID, 2),
    link: type === PCI_EXP_TYPE_RC_END ? (devfn & ~7) | link : link,
    driversAutoprobe: true,
    vfs: new Map(),
  };
}

/** Offset and stride for the most VFs: they may depend on the number. @see `compute_max_vf_buses` */
function readRouting(config: ConfigSpace, pos: number, totalVfs: number): Pick<SriovState, 'offset' | 'stride'> | null {
  config.write(pos + PCI_SRIOV_NUM_VF, 2, totalVfs);
  const { offset, stride } = routingIds(config, pos);
  config.write(pos + PCI_SRIOV_NUM_VF, 2, 0);
  if (offset === 0 || (totalVfs > 1 && stride === 0)) return null;
  return { offset, stride };
}

/** Offset and stride as the function tells them now. */
export function routingIds(config: ConfigSpace, pos: number): Pick<SriovState, 'offset' | 'stride'> {
  return { offset: config.read(pos + PCI_SRIOV_VF_OFFSET, 2), stride: config.read(pos + PCI_SRIOV_VF_STRIDE, 2) };
}
