/** A PCI function whose work is done by assignable interfaces, as Scalable I/O Virtualization has them. */
import {
  PCI_BASE_ADDRESS_0, PCI_CLASS_NETWORK_ETHERNET, PCI_EXT_CAP_ID_PASID, PCI_EXT_CAP_PASID_SIZEOF, PCI_HEADER_TYPE, PCI_MSIX_ENTRY_SIZE,
  PCI_MSIX_FLAGS, PCI_PASID_CAP, PCI_VENDOR_ID_INTEL,
} from '@vdpalab/uapi';
import { describeBars } from '../pci/bars.ts';
import { endpointCapability, msixCapability } from '../pci/capabilities.ts';
import { ConfigImage } from '../pci/config-image.ts';
import { describeHeader, PciFunction } from '../pci/function.ts';
import type { FunctionIds, FunctionParts } from '../pci/function.ts';
import type { ModelContext } from '../pci/model.ts';
import { defaultMac, macBytes, macPlus } from '../virtio/net-settings.ts';
import { SiovAdi } from './adi.ts';
import type { SiovFunctionConfig } from './config.ts';
import {
  ADI_VECTORS, BAR_CONTROL, LEADER_VALID, leaderOf, MSIX_PBA_OFFSET, MSIX_TABLE_OFFSET, PASID_MASK, PASID_VALID, REG_COUNT, REG_LEADER, REG_PASID,
  REG_VECTORS, REG_WINDOW, siovBars, WINDOW_SIZE,
} from './layout.ts';

const MULTIFUNCTION = 0x80;
/** PASIDs are 20 bits wide. */
const PASID_WIDTH = 20 << 8;

/** Ids of the function, which are nobody else's. */
export const SIOV_IDS: FunctionIds = {
  vendor: PCI_VENDOR_ID_INTEL, device: 0x51a0, subvendor: PCI_VENDOR_ID_INTEL, subdevice: 0x51a0, classCode: PCI_CLASS_NETWORK_ETHERNET, revision: 1,
};

function siovParts(adis: number, multifunction: boolean): FunctionParts {
  const image = new ConfigImage();
  describeHeader(image, SIOV_IDS, true);
  if (multifunction) image.put(PCI_HEADER_TYPE, 1, MULTIFUNCTION);
  const bars = siovBars(adis);
  describeBars(image, PCI_BASE_ADDRESS_0, bars);
  const count = adis * ADI_VECTORS;
  const at = msixCapability(image, count, { bar: BAR_CONTROL, offset: MSIX_TABLE_OFFSET }, { bar: BAR_CONTROL, offset: MSIX_PBA_OFFSET });
  const express = endpointCapability(image);
  const pasid = image.extended(PCI_EXT_CAP_ID_PASID, 1, PCI_EXT_CAP_PASID_SIZEOF);
  image.put(pasid + PCI_PASID_CAP, 2, PASID_WIDTH);
  return { layout: image.build(), bars, express, msix: { at, count } };
}

/** The physical function. */
export class SiovFunction extends PciFunction {
  readonly adis: readonly SiovAdi[];

  constructor(context: ModelContext, config: SiovFunctionConfig) {
    const { site, networks, multifunction } = context;
    const parts = siovParts(config.adis, multifunction);
    super(site, parts);
    const mac = config.mac === undefined ? defaultMac(site.bus, site.devfn) : macBytes(config.mac);
    const settings = { queuePairs: 1, queueSize: config.queue_size, mtu: config.mtu, promisc: config.promisc ?? true };
    this.adis = Array.from({ length: config.adis }, (_, n) => {
      const adi = new SiovAdi(site, n, { ...settings, mac: macPlus(mac, n) });
      adi.plug(config.link === undefined ? null : networks.get(config.link)?.attach(`${this.bdf} adi ${n}`) ?? null);
      return adi;
    });
    const flagsAt = parts.msix!.at + PCI_MSIX_FLAGS; // siovParts gives it vectors
    this.config.onWrite(flagsAt, 2, () => {
      for (const adi of this.adis) adi.setMsixFlags(this.config.get(flagsAt, 2));
    });
  }

  readBar(bar: number, offset: number, size: 1 | 2 | 4): number {
    if (bar !== BAR_CONTROL) return this.adis[Math.floor(offset / WINDOW_SIZE)]?.readWindow(offset % WINDOW_SIZE, size) ?? 0;
    if (offset >= MSIX_PBA_OFFSET) return 0; // interfaces keep what is pending to themselves
    if (offset >= MSIX_TABLE_OFFSET) return this.msix?.readTable(offset - MSIX_TABLE_OFFSET, size) ?? 0;
    if (size !== 4) return 0;
    if (offset === REG_COUNT) return this.adis.length;
    if (offset === REG_WINDOW) return WINDOW_SIZE;
    if (offset === REG_VECTORS) return ADI_VECTORS;
    if (offset >= REG_LEADER) return leaderWord(this.adis[(offset - REG_LEADER) / 4]?.leader ?? null);
    const pasid = this.adis[(offset - REG_PASID) / 4]?.pasid ?? null;
    return pasid === null ? 0 : (PASID_VALID | pasid) >>> 0;
  }

  writeBar(bar: number, offset: number, size: 1 | 2 | 4, value: number): undefined {
    if (bar !== BAR_CONTROL) this.adis[Math.floor(offset / WINDOW_SIZE)]?.writeWindow(offset % WINDOW_SIZE, size, value);
    else if (offset >= MSIX_TABLE_OFFSET && offset < MSIX_PBA_OFFSET) this.writeVector(offset - MSIX_TABLE_OFFSET, size, value);
    else if (size === 4 && offset >= REG_LEADER) this.adis[(offset - REG_LEADER) / 4]?.follow(this.adis[leaderOf(value) ?? -1] ?? null);
    else if (size === 4) this.adis[(offset - REG_PASID) / 4]?.setPasid((value & PASID_VALID) === 0 ? null : value & PASID_MASK, this.busMaster);
  }

  protected onReset(): undefined {
    for (const adi of this.adis) {
      adi.follow(null);
      adi.setPasid(null, false);
      adi.reset();
    }
  }

  protected override onRemove(): undefined {
    for (const adi of this.adis) adi.follow(null);
    for (const adi of this.adis) adi.remove();
  }

  protected override onBusMaster(on: boolean): undefined {
    for (const adi of this.adis) adi.setMastering(on);
  }

  /** The table is one for all; each interface has its part of it as its own. */
  private writeVector(offset: number, size: 1 | 2 | 4, value: number): undefined {
    this.msix?.writeTable(offset, size, value);
    const part = ADI_VECTORS * PCI_MSIX_ENTRY_SIZE;
    this.adis[Math.floor(offset / part)]?.msix?.writeTable(offset % part, size, value);
  }
}

function leaderWord(leader: SiovAdi | null): number {
  return leader === null ? 0 : (LEADER_VALID | leader.index) >>> 0;
}
