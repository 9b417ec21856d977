/** One function of a PCI device, and the bus it is on. Mirrors `struct pci_dev` and `struct pci_bus` (Linux 6.1). */
import type { Device } from '@vdpalab/driver-core';
import { PCI_FUNC, PCI_SLOT } from '@vdpalab/uapi';
import type { ConfigSpace } from './config.ts';
import type { PciDev, PciDriver, PciSavedState } from './header.ts';
import type { IoWindow } from './iomem.ts';
import type { Resource } from './ioresource.ts';
import type { MsixState } from './msix.ts';
import type { ResetMethod } from './reset-methods.ts';
import type { SriovState } from './sriov-capability.ts';
import type { AddressWindow } from './window.ts';

/** `struct pci_bus` */
export interface PciBus {
  readonly number: number;
  /** Last bus number below it: VFs may be on those in between. */
  readonly busnEnd: number;
  /** The bridge that leads to it; `null` for the root bus. */
  readonly self: PciFunction | null;
  readonly parent: PciBus | null;
  /** In the order they were found; VFs are not among them. */
  readonly devices: PciFunction[];
}

/** What a bridge lets through to the bus behind it. */
export interface BridgeWindows {
  readonly mem: AddressWindow;
  readonly pref: AddressWindow;
}

/** What a scan found out of a function. */
export interface PciFacts {
  readonly vendor: number;
  readonly device: number;
  readonly subsystem_vendor: number;
  readonly subsystem_device: number;
  readonly class: number;
  readonly revision: number;
  /** Header type: 0 or 1. */
  readonly headerType: number;
  readonly multifunction: boolean;
}

/** `struct pci_dev` */
export class PciFunction implements PciDev {
  readonly domain: number;
  readonly bus: number;
  readonly devfn: number;
  readonly vendor: number;
  readonly device: number;
  readonly subsystem_vendor: number;
  readonly subsystem_device: number;
  readonly class: number;
  readonly revision: number;
  readonly headerType: number;
  readonly multifunction: boolean;
  /** The bus its slot is on; of a VF, its PF's. */
  readonly pciBus: PciBus;
  readonly physfn: PciFunction | null;
  readonly config: ConfigSpace;
  /** Bytes of configuration space. */
  readonly cfgSize: number;
  /** Offset of the PCI Express capability, 0 without. */
  readonly pcieCap: number;
  /** BARs 0..5, ROM 6. */
  readonly resource: Resource[];
  /** Set with the device. */
  dev!: Device;
  driver: PciDriver | null = null;
  /** Of a bridge. */
  subordinate: PciBus | null = null;
  windows: BridgeWindows | null = null;
  /** Of a PF. */
  sriov: SriovState | null = null;
  msix: MsixState | null = null;
  /** MSI and MSI-X are forbidden by `msi_bus`. */
  noMsi = false;
  /** Where the user says it is; -1 for nowhere. */
  numaNode = -1;
  /** Ways to reset it that the user chose; null for all it has. */
  resetMethods: readonly ResetMethod[] | null = null;
  /** `broken_parity_status`, for whoever counts errors. */
  brokenParity = false;
  /** `d3cold_allowed`; without a power management capability it starts as no. */
  d3coldAllowed = false;
  /** Drivers may have it: set when scanning is over. */
  matchDriver = false;
  /** Interrupt number of the pin while the function is enabled, 0 without. */
  irq = 0;
  /** What `pci_save_state` kept. */
  savedState: PciSavedState | null = null;
  /** `pci_enable_device` calls not undone. */
  enableCnt = 0;
  /** Who reserved each BAR. */
  readonly regions: (string | null)[] = Array.from({ length: 7 }, () => null);
  /** Mapped windows. */
  readonly iomaps = new Set<IoWindow>();
  /** Windows of pcim_iomap_regions, by BAR. */
  readonly managedMaps: (IoWindow | null)[] = Array.from({ length: 6 }, () => null);
  /** Whether the driver's end undoes what it enabled. */
  managed = false;

  constructor(at: PciAddress, facts: PciFacts, physfn: PciFunction | null, resource: Resource[]) {
    this.domain = at.domain;
    this.bus = at.bus;
    this.devfn = at.devfn;
    this.pciBus = at.pciBus;
    this.config = at.config;
    this.cfgSize = at.cfgSize;
    this.pcieCap = at.pcieCap;
    this.vendor = facts.vendor;
    this.device = facts.device;
    this.subsystem_vendor = facts.subsystem_vendor;
    this.subsystem_device = facts.subsystem_device;
    this.class = facts.class;
    this.revision = facts.revision;
    this.headerType = facts.headerType;
    this.multifunction = facts.multifunction;
    this.physfn = physfn;
    this.resource = resource;
  }

  get is_virtfn(): boolean {
    return this.physfn !== null;
  }

  get cfg_size(): number {
    return this.cfgSize;
  }

  get hdr_type(): number {
    return this.headerType;
  }

  get pcie_cap(): number {
    return this.pcieCap;
  }

  get msix_enabled(): boolean {
    return this.msix !== null;
  }

  /** `0000:07:00.2` */
  get name(): string {
    return pciName(this.domain, this.bus, this.devfn);
  }

  /** Requester id. */
  get rid(): number {
    return (this.bus << 8) | this.devfn;
  }
}

/** Where a function is and how it is reached. */
export interface PciAddress {
  readonly domain: number;
  readonly bus: number;
  readonly devfn: number;
  readonly pciBus: PciBus;
  readonly config: ConfigSpace;
  readonly cfgSize: number;
  readonly pcieCap: number;
}

/** `0000:07:00.2` */
export function pciName(domain: number, bus: number, devfn: number): string {
  const hex = (value: number, digits: number): string => value.toString(16).padStart(digits, '0');
  return `${hex(domain, 4)}:${hex(bus, 2)}:${hex(PCI_SLOT(devfn), 2)}.${PCI_FUNC(devfn)}`;
}
