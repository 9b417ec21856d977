/** The host bridge as a function, and root ports. */
import {
  PCI_BRIDGE_CONTROL, PCI_BRIDGE_CTL_BUS_RESET, PCI_CLASS_BRIDGE_HOST, PCI_CLASS_BRIDGE_PCI, PCI_CLASS_DEVICE, PCI_COMMAND, PCI_DEVICE_ID,
  PCI_HEADER_TYPE, PCI_HEADER_TYPE_BRIDGE, PCI_IO_BASE, PCI_MEMORY_BASE, PCI_MEMORY_LIMIT, PCI_PREF_BASE_UPPER32,
  PCI_PREF_LIMIT_UPPER32, PCI_PREF_MEMORY_BASE, PCI_PREF_MEMORY_LIMIT, PCI_PREF_RANGE_TYPE_64, PCI_PRIMARY_BUS,
  PCI_SECONDARY_BUS, PCI_SUBORDINATE_BUS, PCI_VENDOR_ID, PCI_VENDOR_ID_REDHAT,
} from '@vdpalab/uapi';
import { PCI_MEM32, PCI_MEM64 } from '../memory-map.ts';
import { acsCapability, rootPortCapability } from './capabilities.ts';
import { ConfigImage } from './config-image.ts';
import type { ConfigLayout } from './config-image.ts';
import { PciFunction, describeHeader } from './function.ts';
import type { FunctionSite } from './function.ts';

/** QEMU's ids for a PCI Express host bridge and root port, of vendor Red Hat. */
const DEVICE_HOST_BRIDGE = 0x0008;
const DEVICE_ROOT_PORT = 0x000c;

const TWO_32 = 0x1_0000_0000;
/** Bridge windows count in units of 1 MiB, kept in the upper 12 bits of 16. */
const WINDOW_SHIFT = 16;

/** A function without BARs of its own. */
abstract class Bridge extends PciFunction {
  readBar(): number {
    return 0xffff_ffff;
  }

  writeBar(): undefined {
    return undefined;
  }

  protected onReset(): undefined {
    return undefined;
  }
}

/** The host bridge at 00:00.0, which only says what it is. */
export class HostBridge extends Bridge {
  constructor(site: FunctionSite) {
    const image = new ConfigImage();
    describeHeader(image, {
      vendor: PCI_VENDOR_ID_REDHAT, device: DEVICE_HOST_BRIDGE, subvendor: 0, subdevice: 0,
      classCode: PCI_CLASS_BRIDGE_HOST, revision: 0,
    }, true);
    super(site, { layout: image.build(256), bars: [], express: 0, msix: null });
  }
}

/** Bus numbers and services of a root port. */
export interface RootPortSettings {
  /** Number of the bus behind the port. */
  readonly bus: number;
  /** Bus numbers reserved behind it, for virtual functions. */
  readonly buses: number;
  readonly acs: boolean;
}

/** A root port as firmware leaves it: bus numbers programmed, memory windows open over all of PCI's addresses. */
export class RootPort extends Bridge {
  /** @param resetBuses what the secondary bus reset bit sets off */
  constructor(site: FunctionSite, settings: RootPortSettings, resetBuses: (from: number, to: number) => undefined) {
    const { layout, express } = portLayout(settings);
    super(site, { layout, bars: [], express, msix: null });
    this.config.onWrite(PCI_BRIDGE_CONTROL, 2, () => {
      if ((this.config.get(PCI_BRIDGE_CONTROL, 2) & PCI_BRIDGE_CTL_BUS_RESET) === 0) return;
      resetBuses(this.config.get(PCI_SECONDARY_BUS, 1), this.config.get(PCI_SUBORDINATE_BUS, 1));
    });
  }

  /** Whether a configuration cycle for this bus goes through the port. */
  leadsTo(bus: number): boolean {
    const secondary = this.config.get(PCI_SECONDARY_BUS, 1);
    return secondary !== 0 && bus >= secondary && bus <= this.config.get(PCI_SUBORDINATE_BUS, 1);
  }
}

function portLayout({ bus, buses, acs }: RootPortSettings): { layout: ConfigLayout; express: number } {
  const image = new ConfigImage();
  // Header type 1 keeps BARs 0 and 1 only, and has its subsystem ids in a capability.
  image.put(PCI_VENDOR_ID, 2, PCI_VENDOR_ID_REDHAT).put(PCI_DEVICE_ID, 2, DEVICE_ROOT_PORT);
  image.put(PCI_COMMAND, 2, 0x7, 0x547).put(PCI_CLASS_DEVICE, 2, PCI_CLASS_BRIDGE_PCI);
  image.put(PCI_HEADER_TYPE, 1, PCI_HEADER_TYPE_BRIDGE);
  image.put(PCI_PRIMARY_BUS, 1, 0, 0xff).put(PCI_SECONDARY_BUS, 1, bus, 0xff);
  image.put(PCI_SUBORDINATE_BUS, 1, bus + buses - 1, 0xff);
  image.put(PCI_IO_BASE, 2, 0x00f0); // base above limit: no I/O window
  const end32 = PCI_MEM32.base + PCI_MEM32.size - 1;
  const end64 = PCI_MEM64.base + PCI_MEM64.size - 1;
  image.put(PCI_MEMORY_BASE, 2, windowBits(PCI_MEM32.base), 0xfff0).put(PCI_MEMORY_LIMIT, 2, windowBits(end32), 0xfff0);
  image.put(PCI_PREF_MEMORY_BASE, 2, windowBits(PCI_MEM64.base) | PCI_PREF_RANGE_TYPE_64, 0xfff0);
  image.put(PCI_PREF_MEMORY_LIMIT, 2, windowBits(end64) | PCI_PREF_RANGE_TYPE_64, 0xfff0);
  image.put(PCI_PREF_BASE_UPPER32, 4, PCI_MEM64.base / TWO_32, 0xffff_ffff);
  image.put(PCI_PREF_LIMIT_UPPER32, 4, Math.floor(end64 / TWO_32), 0xffff_ffff);
  image.put(PCI_BRIDGE_CONTROL, 2, 0, 0x007f);
  const express = rootPortCapability(image);
  if (acs) acsCapability(image, true);
  return { layout: image.build(), express };
}

/** Upper 12 bits of the lower half of an address, where a bridge window register has them. */
function windowBits(address: number): number {
  return ((address >>> 0) >>> WINDOW_SHIFT) & 0xfff0;
}
