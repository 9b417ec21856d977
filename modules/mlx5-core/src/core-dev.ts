/** `struct mlx5_core_dev`: what a function has, from its probe to its removal. Mirrors `include/linux/mlx5/driver.h` (Linux 6.1). */
import { isKernelError, UndoStack } from '@vdpalab/abi';
import type { Device, Ida } from '@vdpalab/driver-core';
import type { Devlink, DevlinkOps, DevlinkParamValue } from '@vdpalab/devlink';
import type { IoMem, PciDev } from '@vdpalab/pci';
import type { Mutex } from '@vdpalab/sched';
import { mlx5_init_seg, swab32 } from '@vdpalab/uapi';
import { AdevTable } from './adev.ts';
import { Caps } from './caps.ts';
import { CommandInterface } from './cmd.ts';
import { EqTable } from './eq-table.ts';
import type { Eswitch } from './eswitch.ts';
import { FlowSteering } from './fs.ts';
import type { Mlx5CoreDev, Mlx5CoreDevType, Mlx5UarsPage } from './header.ts';
import { Health } from './health.ts';
import { IrqTable } from './irq.ts';
import type { Mlx5Kernel } from './kernel.ts';
import { Mpfs } from './mpfs.ts';
import type { SfManagement } from './sf-management.ts';
import { Uars } from './uar.ts';

const PAGE_SIZE = 4096;

/** What all functions of the driver share. */
export class Shared {
  /** `mlx5_intf_mutex`: auxiliary devices come and go one at a time. */
  readonly intfMutex: Mutex;
  readonly #k: Mlx5Kernel;
  readonly #adevIds: Ida;
  /** Functions that are probed. */
  readonly devs = new Set<CoreDev>();

  constructor(k: Mlx5Kernel) {
    this.#k = k;
    this.intfMutex = k.mutex_init('mlx5_intf_mutex');
    this.#adevIds = k.ida_init();
  }

  /** A number for a function's auxiliary devices. @see `mlx5_adev_idx_alloc` */
  adevIdxAlloc(): number {
    return this.#k.ida_alloc_max(this.#adevIds, 0x7fff_ffff);
  }

  adevIdxFree(idx: number): undefined {
    return this.#k.ida_free(this.#adevIds, idx);
  }
}

/** What a probe knows of its function. */
export interface CoreDevInit {
  readonly device: Device;
  readonly pdev: PciDev;
  readonly coredev_type: Mlx5CoreDevType;
  readonly bar: number;
  readonly bar_offset: number;
  readonly adevIdx: number;
  /** Of a subfunction. */
  readonly parent: CoreDev | null;
  /** Entries of its queue of events, before a parameter says otherwise. */
  readonly eqSize: number;
}

/** A function. What it holds is started and stopped in `main.ts`. */
export class CoreDev implements Mlx5CoreDev {
  readonly k: Mlx5Kernel;
  readonly shared: Shared;
  readonly device: Device;
  readonly pdev: PciDev;
  readonly coredev_type: Mlx5CoreDevType;
  readonly bar: number;
  readonly bar_offset: number;
  readonly bar_addr: number;
  readonly adevIdx: number;
  readonly parent: CoreDev | null;
  readonly eqSize: number;
  readonly devlink: Devlink;
  readonly caps = new Caps();
  readonly health: Health;
  readonly cmd: CommandInterface;
  readonly uars: Uars;
  /** The PCI function's. */
  readonly irqs: IrqTable;
  readonly eqs: EqTable;
  readonly fs: FlowSteering;
  readonly mpfs: Mpfs;
  readonly adevs: AdevTable;
  /** Of those who manage one. */
  eswitch: Eswitch | null = null;
  sfs: SfManagement | null = null;
  /** All of it, given back when its driver lets it go. */
  readonly probed = new UndoStack();
  /** What it holds from its first load to the last. */
  readonly once = new UndoStack();
  /** What it holds while its firmware is set up, and while it is loaded: given back and taken again at a reload. */
  readonly setup = new UndoStack();
  readonly loaded = new UndoStack();
  /** `MLX5_INTERFACE_STATE_UP` */
  up = false;
  /** `MLX5_DEVICE_STATE_INTERNAL_ERROR`: commands are not given any more. */
  internalError = false;
  boardId = '';
  #iseg: IoMem | null = null;
  #uar: Mlx5UarsPage | null = null;

  constructor(k: Mlx5Kernel, shared: Shared, init: CoreDevInit, ops: DevlinkOps) {
    this.k = k;
    this.shared = shared;
    this.device = init.device;
    this.pdev = init.pdev;
    this.coredev_type = init.coredev_type;
    this.bar = init.bar;
    this.bar_offset = init.bar_offset;
    this.bar_addr = k.pci_resource_start(init.pdev, init.bar) + init.bar_offset;
    this.adevIdx = init.adevIdx;
    this.parent = init.parent;
    this.eqSize = init.eqSize;
    this.devlink = k.devlink_alloc_ns(ops, this, init.device);
    this.health = new Health(this);
    this.cmd = new CommandInterface(this);
    this.uars = new Uars(this);
    this.irqs = init.parent?.irqs ?? new IrqTable(this);
    this.eqs = new EqTable(this);
    this.fs = new FlowSteering(this);
    this.mpfs = new Mpfs(this);
    this.adevs = new AdevTable(this);
  }

  /** The page of doorbells of the driver's own queues. */
  get uar(): Mlx5UarsPage {
    if (this.#uar === null) throw new Error(`${this.device.name}: no doorbells before it is loaded`);
    return this.#uar;
  }

  setUar(uar: Mlx5UarsPage | null): void {
    this.#uar = uar;
  }

  get vhca_id(): number {
    return this.caps.gen('vhca_id');
  }

  readonly hca_cap = (capType: number): Uint8Array => this.caps.of(capType);

  /** Map the initialisation segment. @throws ENOMEM */
  mapIseg(): void {
    this.#iseg = this.mapWindow(0, mlx5_init_seg.size);
  }

  unmapIseg(): undefined {
    if (this.#iseg !== null) this.k.pci_iounmap(this.pdev, this.#iseg);
    this.#iseg = null;
  }

  /** Map part of its registers. @throws ENOMEM */
  mapWindow(offset: number, size: number): IoMem {
    return this.k.pci_iomap_range(this.pdev, this.bar, this.bar_offset + offset, size);
  }

  mapPage(page: number): IoMem {
    return this.mapWindow(page * PAGE_SIZE, PAGE_SIZE);
  }

  /** A register of the initialisation segment, which is big endian. */
  readIseg(field: keyof typeof mlx5_init_seg.fields & string): number {
    return swab32(this.#segment.read32(mlx5_init_seg.offsetof(field)));
  }

  writeIseg(field: keyof typeof mlx5_init_seg.fields & string, value: number): void {
    this.#segment.write32(mlx5_init_seg.offsetof(field), swab32(value));
  }

  get #segment(): IoMem {
    if (this.#iseg === null) throw new Error(`${this.device.name}: its registers are not mapped`);
    return this.#iseg;
  }

  /** What a parameter says that is taken at the next load; undefined before it was registered. */
  driverinit(name: string): DevlinkParamValue | undefined {
    try {
      return this.k.devlink_param_driverinit_value_get(this.devlink, name);
    } catch (error) {
      if (!isKernelError(error)) throw error;
      return undefined;
    }
  }

  /** What users of the function have not given back. */
  leftovers(): string[] {
    return [...this.eqs.leftovers(), ...this.fs.leftovers(), ...this.mpfs.leftovers(), ...(this.sfs?.leftovers() ?? [])];
  }

  /** `mlx5_core_err` and its kin; Linux's also tell function, line and pid. */
  err(text: string): void {
    this.k.dev_err(this.device, text);
  }

  warn(text: string): void {
    this.k.dev_warn(this.device, text);
  }

  info(text: string): void {
    this.k.dev_info(this.device, text);
  }
}
