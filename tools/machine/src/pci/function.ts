/** One PCI function: configuration space, BARs, MSI-X, its way to memory, reset. */
import {
  PCI_BASE_ADDRESS_0, PCI_CLASS_DEVICE, PCI_CLASS_PROG, PCI_COMMAND, PCI_COMMAND_INTX_DISABLE, PCI_COMMAND_IO, PCI_COMMAND_MASTER,
  PCI_COMMAND_MEMORY, PCI_COMMAND_PARITY, PCI_COMMAND_SERR, PCI_DEVFN, PCI_DEVICE_ID, PCI_EXP_DEVCTL, PCI_EXP_DEVCTL_BCR_FLR,
  PCI_INTERRUPT_LINE, PCI_INTERRUPT_PIN, PCI_REVISION_ID, PCI_STATUS, PCI_STATUS_INTERRUPT, PCI_SUBSYSTEM_ID,
  PCI_SUBSYSTEM_VENDOR_ID, PCI_VENDOR_ID,
} from '@vdpalab/uapi';
import type { DmaPort } from '../dma.ts';
import { requester } from '../iommu/unit.ts';
import type { HwMachine } from '../machine.ts';
import { BarWindows } from './bars.ts';
import type { BarSpace, BarSpec } from './bars.ts';
import type { ConfigImage, ConfigLayout } from './config-image.ts';
import { ConfigSpace } from './config-space.ts';
import { MsixVectors } from './msix.ts';

/** Bits of the command register that a write changes. */
const COMMAND_BITS = PCI_COMMAND_MEMORY | PCI_COMMAND_MASTER | PCI_COMMAND_PARITY | PCI_COMMAND_SERR | PCI_COMMAND_INTX_DISABLE;
/** Bits of a virtual function's: decoding is its physical function's. */
const VF_COMMAND_BITS = COMMAND_BITS & ~PCI_COMMAND_MEMORY;
/** Error bits of the status register, cleared by writing 1. */
const STATUS_CLEARS = 0xf900;

/** Who a function says it is. */
export interface FunctionIds {
  readonly vendor: number;
  readonly device: number;
  readonly subvendor: number;
  readonly subdevice: number;
  /** Base class and subclass, 16 bits. */
  readonly classCode: number;
  readonly revision: number;
}

/** Where a function sits. */
export interface FunctionSite {
  readonly hw: HwMachine;
  readonly space: BarSpace & PinWire;
  readonly bus: number;
  /** device << 3 | function */
  readonly devfn: number;
}

/** Where interrupt pins lead. */
export interface PinWire {
  /** The function's pin was asserted. */
  readonly interrupt: (rid: number) => undefined;
}

/** What of a layout the function itself must find again. */
export interface FunctionParts {
  readonly layout: ConfigLayout;
  /** BARs with registers of their own; a virtual function has none. */
  readonly bars: readonly BarSpec[];
  /** Offset of the PCI Express capability; 0 without. */
  readonly express: number;
  /** MSI-X: offset of the capability, and vectors. */
  readonly msix: { readonly at: number; readonly count: number } | null;
  /** DMA at physical addresses, past the platform IOMMU. */
  readonly bypassIommu?: boolean;
}

/**
 * Write a type 0 header's identity, command and status.
 *
 * @param decodes whether the memory enable bit works; in a virtual function it is hardwired to 0
 * @param ports whether there are I/O ports to enable
 */
export function describeHeader(image: ConfigImage, ids: FunctionIds, decodes: boolean, ports = false): undefined {
  image.put(PCI_VENDOR_ID, 2, ids.vendor).put(PCI_DEVICE_ID, 2, ids.device);
  image.put(PCI_COMMAND, 2, 0, (decodes ? COMMAND_BITS : VF_COMMAND_BITS) | (ports ? PCI_COMMAND_IO : 0));
  image.clearedByOnes(PCI_STATUS, 2, STATUS_CLEARS);
  image.put(PCI_REVISION_ID, 1, ids.revision).put(PCI_CLASS_PROG, 1, 0).put(PCI_CLASS_DEVICE, 2, ids.classCode);
  image.put(PCI_SUBSYSTEM_VENDOR_ID, 2, ids.subvendor).put(PCI_SUBSYSTEM_ID, 2, ids.subdevice);
}

/** Give a function interrupt pin A. */
export function describePin(image: ConfigImage): undefined {
  image.put(PCI_INTERRUPT_PIN, 1, 1).put(PCI_INTERRUPT_LINE, 1, 0, 0xff);
}

/** Read a bdf, `07:00.2`, as bus and devfn. */
export function parseBdf(text: string): { readonly bus: number; readonly devfn: number } {
  const match = /^([0-9a-f]{2}):([01][0-9a-f])\.([0-7])$/.exec(text);
  if (match === null) throw new RangeError(`${text}: not a PCI address such as 07:00.0`);
  return {
    bus: Number.parseInt(match[1]!, 16),
    devfn: PCI_DEVFN(Number.parseInt(match[2]!, 16), Number(match[3])),
  };
}

/** What every model of a PCI function is built on. */
export abstract class PciFunction {
  readonly bus: number;
  readonly devfn: number;
  /** Requester id: bus << 8 | devfn. */
  readonly rid: number;
  /** `07:00.2` */
  readonly bdf: string;
  readonly config: ConfigSpace;
  readonly msix: MsixVectors | null;
  protected readonly hw: HwMachine;
  private readonly windows: BarWindows | null;
  private readonly express: number;
  private way: DmaPort | null = null;
  private mastering = false;
  private removed = false;
  private readonly bypassIommu: boolean;
  private readonly wire: PinWire;
  /** What the function does with its pin, and whether it reaches the wire. */
  private asserted = false;
  private signalled = false;

  constructor(site: FunctionSite, parts: FunctionParts) {
    this.hw = site.hw;
    this.wire = site.space;
    this.bypassIommu = parts.bypassIommu === true;
    this.bus = site.bus;
    this.devfn = site.devfn;
    this.rid = (site.bus << 8) | site.devfn;
    this.bdf = requester(this.rid, null);
    this.config = new ConfigSpace(parts.layout);
    this.express = parts.express;
    const handlers = parts.bars.map(({ index }) => ({
      name: `${this.bdf} BAR ${index}`, bar: true,
      read: (offset: number, size: 1 | 2 | 4) => this.readBar(index, offset, size),
      write: (offset: number, size: 1 | 2 | 4, value: number) => this.writeBar(index, offset, size, value),
    }));
    this.windows = parts.bars.length === 0
      ? null
      : new BarWindows(this.config, PCI_BASE_ADDRESS_0, parts.bars, site.space, handlers);
    this.msix = parts.msix === null
      ? null
      : new MsixVectors(parts.msix.count, this.config, parts.msix.at, { send: (address, data) => this.message(address, data) });
    this.config.onWrite(PCI_COMMAND, 2, () => this.commandWritten());
    if (this.windows !== null) this.config.onWrite(PCI_BASE_ADDRESS_0, 24, () => this.updateWindows());
    if (this.express !== 0) this.config.onWrite(this.express + PCI_EXP_DEVCTL, 2, () => this.deviceControlWritten());
  }

  /** A read of a BAR by the CPU. */
  abstract readBar(bar: number, offset: number, size: 1 | 2 | 4): number;
  /** A write to a BAR by the CPU. */
  abstract writeBar(bar: number, offset: number, size: 1 | 2 | 4, value: number): undefined;

  /** Whether the function may start DMA and send messages. */
  get busMaster(): boolean {
    return this.mastering;
  }

  /** The function's way to memory. */
  get dma(): DmaPort {
    return (this.way ??= this.hw.dmaPort(this.rid, null, this.bypassIommu));
  }

  /** Drive the interrupt pin; nothing where there is none. A rising level is one interrupt, as long as the driver lets it out. */
  readonly pin = (asserted: boolean): undefined => {
    if (asserted === this.asserted || this.config.get(PCI_INTERRUPT_PIN, 1) === 0) return;
    this.asserted = asserted;
    const status = this.config.get(PCI_STATUS, 2);
    this.config.set(PCI_STATUS, 2, asserted ? status | PCI_STATUS_INTERRUPT : status & ~PCI_STATUS_INTERRUPT);
    this.updatePin();
  };

  /** Reset the function: what a function level reset does, and the end of a virtual function. */
  reset(): undefined {
    this.config.reset();
    this.msix?.reset();
    this.commandWritten();
    this.onReset();
  }

  /** Unplug: reset, close windows and the way to memory. Nothing happens afterwards. */
  remove(): undefined {
    if (this.removed) return;
    this.removed = true;
    this.reset();
    this.onRemove();
    if (this.way !== null) this.hw.dropDmaPort(this.rid);
    this.way = null;
  }

  /** The model's own state goes back to power-on. */
  protected abstract onReset(): undefined;

  /** The function is about to go: leave networks. */
  protected onRemove(): undefined {
    return undefined;
  }

  /** The driver switched bus mastering on or off. */
  protected onBusMaster(_on: boolean): undefined {
    return undefined;
  }

  private commandWritten(): undefined {
    const command = this.config.get(PCI_COMMAND, 2);
    this.updateWindows();
    this.updatePin();
    const on = (command & PCI_COMMAND_MASTER) !== 0;
    if (on === this.mastering) return;
    this.mastering = on;
    if (on) this.msix?.settle();
    this.onBusMaster(on);
  }

  private updateWindows(): undefined {
    const command = this.config.get(PCI_COMMAND, 2);
    this.windows?.update((command & PCI_COMMAND_MEMORY) !== 0 ? 1 : 0, (command & PCI_COMMAND_IO) !== 0);
  }

  private updatePin(): undefined {
    const signals = this.asserted && (this.config.get(PCI_COMMAND, 2) & PCI_COMMAND_INTX_DISABLE) === 0;
    if (signals && !this.signalled) this.wire.interrupt(this.rid);
    this.signalled = signals;
  }

  private deviceControlWritten(): undefined {
    const at = this.express + PCI_EXP_DEVCTL;
    const control = this.config.get(at, 2);
    if ((control & PCI_EXP_DEVCTL_BCR_FLR) === 0) return;
    this.config.set(at, 2, control & ~PCI_EXP_DEVCTL_BCR_FLR);
    this.reset();
  }

  private message(address: number, data: number): boolean {
    if (!this.mastering) return false;
    // An address no RAM reaches: the write is lost on the bus.
    if (Number.isSafeInteger(address)) this.dma.message(address, data);
    return true;
  }
}
