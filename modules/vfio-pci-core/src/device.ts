/** A PCI function in the hands of user space. Mirrors `struct vfio_pci_core_device` in `include/linux/vfio_pci_core.h` (Linux 6.1). */
import type { KernelSymbols } from '@vdpalab/abi';
import type { BusNotifier } from '@vdpalab/driver-core';
import type { EventfdCtx } from '@vdpalab/fs';
import type { IrqSymbols } from '@vdpalab/irq';
import type { IrqBypassProducer } from '@vdpalab/irqbypass';
import type { VmArea } from '@vdpalab/mm';
import type { IoMem, PciDev, PciSavedState } from '@vdpalab/pci';
import type { Mutex, RwSemaphore } from '@vdpalab/sched';
import { PCI_COMMAND, PCI_COMMAND_MEMORY, PCI_STD_NUM_BARS } from '@vdpalab/uapi';
import type { VfioDevice } from '@vdpalab/vfio';
import type { VirqfdSlot } from '@vdpalab/vfio-virqfd';
import type { VirtualConfig } from './config.ts';
import type { VfioPciRegion } from './header.ts';
import type { imports } from './module-data.ts';

/** The kernel as this module sees it. */
export type Kernel = Pick<KernelSymbols & IrqSymbols, (typeof imports)[number]>;

/** `struct vfio_pci_irq_ctx`: one interrupt and its eventfd. */
export interface IrqContext {
  trigger: EventfdCtx | null;
  producer: IrqBypassProducer | null;
  /** INTx: told to unmask by an eventfd. */
  readonly unmask: VirqfdSlot;
  masked: boolean;
}

/** `struct vfio_pci_vf_token` of a physical function. */
export interface VfToken {
  uuid: string;
  /** Opens of the function and of its virtual ones. */
  users: number;
}

/** `struct vfio_pci_ioeventfd` */
export interface Ioeventfd {
  readonly slot: VirqfdSlot;
  readonly bar: number;
  readonly pos: number;
  readonly data: bigint;
  readonly count: number;
}

/** Which interrupts are on: none, or a VFIO_PCI_*_IRQ_INDEX. */
export type IrqType = number | null;

/** `struct vfio_pci_core_device` */
export class VfioPci {
  readonly k: Kernel;
  readonly vdev: VfioDevice;
  readonly pdev: PciDev;
  /** `igate`: interrupts. */
  readonly igate: Mutex;
  /** `memory_lock`: readers access registers, writers take them away. */
  readonly memoryLock: RwSemaphore;
  /** Mapped windows by BAR. */
  readonly barmap: (IoMem | null)[] = Array.from({ length: PCI_STD_NUM_BARS }, () => null);
  readonly mmapSupported: boolean[] = Array.from({ length: PCI_STD_NUM_BARS }, () => false);
  readonly regions: VfioPciRegion[] = [];
  readonly ioeventfds: Ioeventfd[] = [];
  /** Mapped areas, and what is behind them when it is not taken away. */
  readonly areas = new Map<VmArea, VmArea['backing']>();
  contexts: IrqContext[] = [];
  irqType: IrqType = null;
  errTrigger: EventfdCtx | null = null;
  reqTrigger: EventfdCtx | null = null;
  /** Set while the device is open. */
  config: VirtualConfig | null = null;
  savedState: PciSavedState | null = null;
  resetWorks = false;
  /** Hears of the virtual functions of a physical one. */
  vfNotifier: BusNotifier | null = null;
  /** The pin can be masked in the command register. */
  pci23 = false;
  /** The user has masked the pin in its command register. */
  virqDisabled = false;
  /** In low power: registers do not answer. */
  asleep = false;
  msixBar = -1;
  msixOffset = 0;
  /** Bytes. */
  msixSize = 0;
  /** Of a physical function. */
  token: VfToken | null = null;
  /** Of a virtual function whose physical one is VFIO's too. */
  pf: VfioPci | null = null;

  constructor(k: Kernel, vdev: VfioDevice) {
    this.k = k;
    this.vdev = vdev;
    this.pdev = k.to_pci_dev(vdev.dev);
    const name = k.pci_name(this.pdev);
    this.igate = k.mutex_init(`vfio-pci igate ${name}`);
    this.memoryLock = k.init_rwsem(`vfio-pci memory ${name}`);
  }

  get name(): string {
    return this.k.pci_name(this.pdev);
  }

  /** A virtual function's memory is decoded whatever its command register says. */
  get noCommandMemory(): boolean {
    return this.pdev.is_virtfn;
  }

  /** Whether registers in memory answer. @see `__vfio_pci_memory_enabled` */
  get memoryEnabled(): boolean {
    const on = this.noCommandMemory || ((this.config?.word(PCI_COMMAND) ?? 0) & PCI_COMMAND_MEMORY) !== 0;
    return on && !this.asleep;
  }

  /** The configuration of the open device. @throws Error (a lab bug) when it is closed */
  get openConfig(): VirtualConfig {
    if (this.config === null) throw new Error(`${this.name}: used while closed`);
    return this.config;
  }

  /** Take mapped registers away. Call with the memory lock held for writing. @see `vfio_pci_zap_vma_mappings` */
  zap(): void {
    for (const area of this.areas.keys()) area.backing = { kind: 'none' };
  }

  /** Give them back where registers answer; Linux does when they are touched. */
  unzap(): void {
    if (this.memoryEnabled) for (const [area, backing] of this.areas) area.backing = backing;
  }
}
