/** SR-IOV: the capability, its virtual functions and the windows of their BARs. */
import {
  PCI_EXT_CAP_ID_SRIOV, PCI_EXT_CAP_SRIOV_SIZEOF, PCI_SRIOV_BAR, PCI_SRIOV_CTRL, PCI_SRIOV_CTRL_ARI, PCI_SRIOV_CTRL_MSE,
  PCI_SRIOV_CTRL_VFE, PCI_SRIOV_FUNC_LINK, PCI_SRIOV_INITIAL_VF, PCI_SRIOV_NUM_VF, PCI_SRIOV_SUP_PGSIZE,
  PCI_SRIOV_SYS_PGSIZE, PCI_SRIOV_TOTAL_VF, PCI_SRIOV_VF_DID, PCI_SRIOV_VF_OFFSET, PCI_SRIOV_VF_STRIDE,
} from '@vdpalab/uapi';
import type { MmioHandler } from '../mmio.ts';
import { BarWindows, describeBars } from './bars.ts';
import type { BarSpec } from './bars.ts';
import type { ConfigImage } from './config-image.ts';
import type { PciFunction } from './function.ts';
import type { PciBusHost } from './host.ts';

/** Page sizes the virtual functions' BARs can be aligned to: 4 KiB to 4 MiB, bit n for 2^(n + 12). */
const PAGE_SIZES = 0x553;

/** How many virtual functions, where, and what BARs they have. */
export interface SriovSpec {
  readonly total: number;
  /** Routing id of the first virtual function less the physical one's. */
  readonly offset: number;
  /** From one virtual function's routing id to the next. */
  readonly stride: number;
  /** Device id of the virtual functions. */
  readonly deviceId: number;
  /** BARs of each virtual function. */
  readonly bars: readonly BarSpec[];
}

/**
 * Lay the capability out.
 *
 * @param slot function number of the physical function: its own function dependency link
 * @returns the capability's offset
 */
export function sriovCapability(image: ConfigImage, spec: SriovSpec, slot: number): number {
  const at = image.extended(PCI_EXT_CAP_ID_SRIOV, 1, PCI_EXT_CAP_SRIOV_SIZEOF);
  image.put(at + PCI_SRIOV_CTRL, 2, 0, PCI_SRIOV_CTRL_VFE | PCI_SRIOV_CTRL_MSE | PCI_SRIOV_CTRL_ARI);
  image.put(at + PCI_SRIOV_INITIAL_VF, 2, spec.total).put(at + PCI_SRIOV_TOTAL_VF, 2, spec.total);
  image.put(at + PCI_SRIOV_NUM_VF, 2, 0, 0xffff).put(at + PCI_SRIOV_FUNC_LINK, 1, slot);
  image.put(at + PCI_SRIOV_VF_OFFSET, 2, spec.offset).put(at + PCI_SRIOV_VF_STRIDE, 2, spec.stride);
  image.put(at + PCI_SRIOV_VF_DID, 2, spec.deviceId);
  image.put(at + PCI_SRIOV_SUP_PGSIZE, 4, PAGE_SIZES).put(at + PCI_SRIOV_SYS_PGSIZE, 4, 1, PAGE_SIZES);
  describeBars(image, at + PCI_SRIOV_BAR, spec.bars);
  return at;
}

/** The virtual functions of one physical function. */
export class VirtualFunctions<Vf extends PciFunction> {
  /** Those that exist now, by number. */
  readonly all: Vf[] = [];
  private readonly pf: PciFunction;
  private readonly at: number;
  private readonly spec: SriovSpec;
  private readonly host: PciBusHost;
  private readonly create: (index: number, bus: number, devfn: number) => Vf;
  private readonly windows: BarWindows;

  /**
   * @param at offset of the capability in `pf`'s configuration space
   * @param create makes virtual function `index`; called when the kernel sets VF Enable
   */
  constructor(
    pf: PciFunction, at: number, spec: SriovSpec, host: PciBusHost,
    create: (index: number, bus: number, devfn: number) => Vf,
  ) {
    this.pf = pf;
    this.at = at;
    this.spec = spec;
    this.host = host;
    this.create = create;
    const handlers = spec.bars.map((bar) => this.aperture(bar));
    this.windows = new BarWindows(pf.config, at + PCI_SRIOV_BAR, spec.bars, host, handlers);
    pf.config.onWrite(at + PCI_SRIOV_CTRL, 2, () => this.apply());
    pf.config.onWrite(at + PCI_SRIOV_NUM_VF, 2, () => this.keepCount());
    pf.config.onWrite(at + PCI_SRIOV_BAR, 24, () => this.updateWindows());
  }

  /** Make what exists what the control register says; also after the physical function was reset. */
  apply(): undefined {
    const { config } = this.pf;
    const enabled = (config.get(this.at + PCI_SRIOV_CTRL, 2) & PCI_SRIOV_CTRL_VFE) !== 0;
    const count = config.get(this.at + PCI_SRIOV_NUM_VF, 2);
    if (!enabled) this.removeAll();
    else if (this.all.length === 0 && count <= this.spec.total) this.createAll(count);
    this.updateWindows();
  }

  private createAll(count: number): undefined {
    for (let i = 0; i < count; i++) {
      const rid = this.pf.rid + this.spec.offset + i * this.spec.stride;
      const vf = this.create(i, rid >>> 8, rid & 0xff);
      this.host.plug(vf);
      this.all.push(vf);
    }
  }

  /** Last created first. */
  private removeAll(): undefined {
    for (let vf = this.all.pop(); vf !== undefined; vf = this.all.pop()) this.host.unplug(vf);
  }

  /** NumVFs does not change while VFs exist. */
  private keepCount(): undefined {
    if (this.all.length > 0) this.pf.config.set(this.at + PCI_SRIOV_NUM_VF, 2, this.all.length);
  }

  private updateWindows(): undefined {
    const decoding = (this.pf.config.get(this.at + PCI_SRIOV_CTRL, 2) & PCI_SRIOV_CTRL_MSE) !== 0;
    this.windows.update(decoding ? this.all.length : 0);
  }

  /** BAR n of VF i lies at the BAR's address + i * its size: one window for all of them. */
  private aperture({ index, size }: BarSpec): MmioHandler {
    const shift = Math.log2(size);
    const mask = size - 1;
    const { all } = this;
    return {
      name: `${this.pf.bdf} VF BAR ${index}`,
      // A shift of 32-bit offsets: apertures end below 4 GiB.
      read: (offset, width) => all[offset >>> shift]?.readBar(index, offset & mask, width) ?? 0xffff_ffff,
      write: (offset, width, value) => {
        all[offset >>> shift]?.writeBar(index, offset & mask, width, value);
        return undefined;
      },
    };
  }
}
