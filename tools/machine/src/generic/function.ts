/** A function that is nothing but its configuration space, and memory behind its BARs. */
import {
  PCI_CAP_ID_EXP, PCI_CAP_ID_MSIX, PCI_EXT_CAP_ID_SRIOV, PCI_MSIX_ENTRY_SIZE, PCI_MSIX_FLAGS, PCI_MSIX_FLAGS_QSIZE, PCI_MSIX_PBA,
  PCI_MSIX_TABLE, PCI_MSIX_TABLE_BIR, PCI_SRIOV_BAR, PCI_SRIOV_TOTAL_VF, PCI_SRIOV_VF_DID, PCI_SRIOV_VF_OFFSET, PCI_SRIOV_VF_STRIDE,
} from '@vdpalab/uapi';
import type { BarPlace } from '../pci/capabilities.ts';
import { PciFunction } from '../pci/function.ts';
import type { FunctionSite } from '../pci/function.ts';
import type { ModelContext } from '../pci/model.ts';
import { VirtualFunctions } from '../pci/sriov.ts';
import type { GenericFunctionConfig } from './config.ts';
import { readDump } from './dump.ts';
import { dumpedBars, dumpedSpace, extended } from './layout.ts';
import type { DumpedSpace } from './layout.ts';

/** Where the two structures of MSI-X are. */
interface MsixPlaces {
  readonly at: number;
  readonly count: number;
  readonly table: BarPlace;
  readonly pba: BarPlace;
}

/** A function without registers: what is written behind its BARs is read there, and nothing else happens. */
export class PassiveFunction extends PciFunction {
  private readonly places: MsixPlaces | null;
  /** Bytes that were written, by BAR and offset. */
  private readonly written = new Map<number, Map<number, number>>();

  constructor(site: FunctionSite, space: DumpedSpace) {
    const places = msixPlaces(space);
    super(site, { layout: space.layout, bars: space.bars, express: space.at.get(PCI_CAP_ID_EXP) ?? 0, msix: places });
    this.places = places;
  }

  readBar(bar: number, offset: number, size: 1 | 2 | 4): number {
    const { places, msix } = this;
    if (places !== null && msix !== null) {
      if (within(places.table, bar, offset, tableSize(places))) return msix.readTable(offset - places.table.offset, size);
      if (within(places.pba, bar, offset, pbaSize(places))) return msix.readPending(offset - places.pba.offset, size);
    }
    const bytes = this.written.get(bar);
    let value = 0;
    for (let i = 0; i < size; i++) value |= (bytes?.get(offset + i) ?? 0) << (8 * i);
    return value >>> 0;
  }

  writeBar(bar: number, offset: number, size: 1 | 2 | 4, value: number): undefined {
    const { places, msix } = this;
    if (places !== null && msix !== null) {
      if (within(places.table, bar, offset, tableSize(places))) return msix.writeTable(offset - places.table.offset, size, value);
      if (within(places.pba, bar, offset, pbaSize(places))) return undefined;
    }
    const bytes = this.written.get(bar) ?? new Map<number, number>();
    this.written.set(bar, bytes);
    for (let i = 0; i < size; i++) bytes.set(offset + i, (value >>> (8 * i)) & 0xff);
  }

  protected onReset(): undefined {
    this.written.clear();
  }
}

/** The function a lab file names, with its virtual ones. */
export class GenericFunction extends PassiveFunction {
  private readonly virtual: VirtualFunctions<PassiveFunction> | null;

  constructor({ site, host }: ModelContext, config: GenericFunctionConfig) {
    const dump = readDump(config.config);
    const space = genericSpace(dump, config);
    super(site, space);
    const at = space.at.get(extended(PCI_EXT_CAP_ID_SRIOV)) ?? 0;
    const { vf } = config;
    if (vf === undefined || at === 0) {
      this.virtual = null;
      return;
    }
    const get = (where: number): number => this.config.get(at + where, 2);
    const spec = {
      total: get(PCI_SRIOV_TOTAL_VF), offset: get(PCI_SRIOV_VF_OFFSET), stride: get(PCI_SRIOV_VF_STRIDE), deviceId: get(PCI_SRIOV_VF_DID),
      bars: dumpedBars(dump, at + PCI_SRIOV_BAR, vf.bars),
    };
    const vfSpace = dumpedSpace(readDump(vf.config), spec.bars, 0, [], true);
    this.virtual = new VirtualFunctions<PassiveFunction>(this, at, spec, host, (_index, bus, devfn) => new PassiveFunction({ ...site, bus, devfn }, vfSpace));
  }

  protected override onReset(): undefined {
    super.onReset();
    // A reset of the physical function takes its virtual ones with it.
    this.virtual?.apply();
  }
}

function genericSpace(dump: Uint8Array, { bars, rom = 0, vf }: GenericFunctionConfig): DumpedSpace {
  const own = dumpedBars(dump, 0x10, bars);
  const plain = dumpedSpace(dump, own, rom, []);
  const sriov = plain.at.get(extended(PCI_EXT_CAP_ID_SRIOV));
  return sriov === undefined || vf === undefined ? plain : dumpedSpace(dump, own, rom, dumpedBars(dump, sriov + PCI_SRIOV_BAR, vf.bars));
}

function msixPlaces({ layout: { bytes }, at }: DumpedSpace): MsixPlaces | null {
  const pos = at.get(PCI_CAP_ID_MSIX);
  if (pos === undefined) return null;
  const view = new DataView(bytes.buffer, bytes.byteOffset);
  const place = (where: number): BarPlace => {
    const word = view.getUint32(pos + where, true);
    return { bar: word & PCI_MSIX_TABLE_BIR, offset: (word & ~PCI_MSIX_TABLE_BIR) >>> 0 };
  };
  return {
    at: pos, count: (view.getUint16(pos + PCI_MSIX_FLAGS, true) & PCI_MSIX_FLAGS_QSIZE) + 1, table: place(PCI_MSIX_TABLE), pba: place(PCI_MSIX_PBA),
  };
}

function within(place: BarPlace, bar: number, offset: number, size: number): boolean {
  return bar === place.bar && offset >= place.offset && offset < place.offset + size;
}

function tableSize({ count }: MsixPlaces): number {
  return count * PCI_MSIX_ENTRY_SIZE;
}

function pbaSize({ count }: MsixPlaces): number {
  return Math.ceil(count / 64) * 8;
}
