/** The function's registers, through mapped BARs. @see DPDK drivers/vdpa/ifc/base/ifcvf.c */
import type { UserProcess } from '@vdpalab/lab';
import {
  PCI_CAP_ID_VNDR, PCI_CAPABILITY_LIST, PCI_COMMAND, PCI_COMMAND_MASTER, PCI_COMMAND_MEMORY, PROT_READ, PROT_WRITE, VFIO_PCI_CONFIG_REGION_INDEX,
  VIRTIO_CONFIG_S_ACKNOWLEDGE, VIRTIO_CONFIG_S_DRIVER, VIRTIO_CONFIG_S_DRIVER_OK, VIRTIO_CONFIG_S_FEATURES_OK, VIRTIO_MSI_NO_VECTOR,
  VIRTIO_PCI_CAP_COMMON_CFG, VIRTIO_PCI_CAP_NOTIFY_CFG, virtio_pci_cap, virtio_pci_common_cfg, virtio_pci_notify_cap,
} from '@vdpalab/uapi';
import type { VfioDeviceFile } from '@vdpalab/user';
import { refuse } from '../refuse.ts';

const at = virtio_pci_common_cfg.offsets;
const TWO_32 = 0x1_0000_0000;
const CONFIG_SIZE = 256;
const LM_BAR = 4;
const LM_LOGGING_CTRL = 0x00;
const LM_BASE = 0x10;
const LM_END = 0x18;
const LM_RING_STATE = 0x20;
const LM_MQ = 0x28;
const PAIR = 0x40;
/** Log control: the function logs itself. */
const LOG_VF = 1;

/** A structure in a BAR. */
interface Window {
  readonly bar: number;
  readonly offset: number;
}

/** Mapped BARs, by number. */
type Bars = ReadonlyMap<number, { readonly va: number; readonly size: number }>;

/** One ring as the hardware is told of it. */
export interface HwRing {
  readonly desc: number;
  readonly avail: number;
  readonly used: number;
  readonly size: number;
  readonly lastAvail: number;
  readonly lastUsed: number;
}

/** A function. Registers are reached by loads and stores: nothing sleeps. */
export class IfcHardware {
  /** Rings it has. */
  readonly rings: number;
  readonly features: bigint;
  /** Whether it has the region with its log and the state of its rings; nothing can be started without. */
  readonly logs: boolean;
  readonly #p: UserProcess;
  readonly #bars: Bars;
  readonly #common: Window;
  readonly #notify: Window;
  readonly #multiplier: number;
  /** Address of each ring's doorbell, filled in at start. */
  readonly #doorbells: number[] = [];

  private constructor(p: UserProcess, bars: Bars, windows: { readonly common: Window; readonly notify: Window; readonly multiplier: number }) {
    this.#p = p;
    this.#bars = bars;
    this.#common = windows.common;
    this.#notify = windows.notify;
    this.#multiplier = windows.multiplier;
    this.rings = this.#load(at.num_queues, 2);
    this.features = this.#feature(0) | (this.#feature(1) << 32n);
    this.logs = bars.has(LM_BAR);
  }

  /** `ifcvf_init_hw`. @throws EIO without the structures of a virtio function */
  static async open(p: UserProcess, device: VfioDeviceFile): Promise<IfcHardware> {
    const command = await device.load(VFIO_PCI_CONFIG_REGION_INDEX, PCI_COMMAND, 2);
    await device.store(VFIO_PCI_CONFIG_REGION_INDEX, PCI_COMMAND, 2, command | PCI_COMMAND_MEMORY | PCI_COMMAND_MASTER);
    const windows = findWindows(await device.read(VFIO_PCI_CONFIG_REGION_INDEX, 0, CONFIG_SIZE));
    const bars = new Map<number, { va: number; size: number }>();
    for (const bar of new Set([windows.common.bar, windows.notify.bar, LM_BAR])) {
      const size = Number((await device.regionInfo(bar)).size);
      if (size > 0) bars.set(bar, { va: await device.map(bar, 0, size, PROT_READ | PROT_WRITE), size });
    }
    return new IfcHardware(p, bars, windows);
  }

  /** Unmap the BARs. */
  async close(): Promise<void> {
    for (const { va, size } of this.#bars.values()) await this.#p.munmap(va, size);
  }

  /** Where a ring's doorbell lies, in bytes of its BAR. */
  notifyOffset(index: number): number {
    this.#store(at.queue_select, 2, index);
    return this.#notify.offset + this.#load(at.queue_notify_off, 2) * this.#multiplier;
  }

  /**
   * `ifcvf_start_hw`
   *
   * @param rings by index; `null` for those that stay off
   * @throws EOPNOTSUPP when the function does not take the features; EIO when it has no vector left
   */
  start(features: bigint, rings: readonly (HwRing | null)[], pairs: number): void {
    this.reset();
    this.#status(VIRTIO_CONFIG_S_ACKNOWLEDGE);
    this.#status(VIRTIO_CONFIG_S_ACKNOWLEDGE | VIRTIO_CONFIG_S_DRIVER);
    for (const half of [0, 1]) {
      this.#store(at.guest_feature_select, 4, half);
      this.#store(at.guest_feature, 4, Number((features >> BigInt(32 * half)) & 0xffff_ffffn));
    }
    const settled = VIRTIO_CONFIG_S_ACKNOWLEDGE | VIRTIO_CONFIG_S_DRIVER | VIRTIO_CONFIG_S_FEATURES_OK;
    this.#status(settled);
    if ((this.#load(at.device_status, 1) & VIRTIO_CONFIG_S_FEATURES_OK) === 0) {
      throw refuse('ifc.features', `the function refuses features 0x${features.toString(16)}`, 'EOPNOTSUPP');
    }
    this.#store(at.msix_config, 2, 0);
    this.#lmStore(LM_MQ, pairs);
    for (const [index, ring] of rings.entries()) if (ring !== null) this.enable(index, ring);
    this.#status(settled | VIRTIO_CONFIG_S_DRIVER_OK);
  }

  /** Set one ring up and switch it on. @throws EIO when it has no vector left */
  enable(index: number, ring: HwRing): void {
    this.#store(at.queue_select, 2, index);
    for (const [lo, address] of [[at.queue_desc_lo, ring.desc], [at.queue_avail_lo, ring.avail], [at.queue_used_lo, ring.used]] as const) {
      this.#store(lo, 4, address % TWO_32);
      this.#store(lo + 4, 4, Math.floor(address / TWO_32));
    }
    this.#store(at.queue_size, 2, ring.size);
    this.#lmStore(ringStateAt(index), (ring.lastAvail | (ring.lastUsed << 16)) >>> 0);
    this.#store(at.queue_msix_vector, 2, index + 1);
    if (this.#load(at.queue_msix_vector, 2) === VIRTIO_MSI_NO_VECTOR) throw refuse('ifc.vector', `no vector ${index + 1} for ring ${index}`, 'EIO');
    this.#doorbells[index] = this.#bar(this.#notify.bar) + this.notifyOffset(index);
    this.#store(at.queue_enable, 2, 1);
  }

  /** Switch one ring off. @returns where it is */
  disable(index: number): { readonly avail: number; readonly used: number } {
    this.#store(at.queue_select, 2, index);
    this.#store(at.queue_enable, 2, 0);
    this.#store(at.queue_msix_vector, 2, VIRTIO_MSI_NO_VECTOR);
    const state = this.#p.proc.mm.load(this.#bar(LM_BAR) + ringStateAt(index), 4) >>> 0;
    return { avail: state & 0xffff, used: state >>> 16 };
  }

  /** Everything as after power-on. */
  reset(): void {
    this.#status(0);
  }

  /** Ring a doorbell: one write of the ring's index. */
  ring(index: number): void {
    const doorbell = this.#doorbells[index];
    if (doorbell !== undefined) this.#p.proc.mm.store(doorbell, 2, index);
  }

  /** `ifcvf_enable_logging` @param base bus address of the log, `size` bytes */
  enableLogging(base: number, size: number): void {
    for (const [lo, value] of [[LM_BASE, base], [LM_END, base + size]] as const) {
      this.#lmStore(lo, value % TWO_32);
      this.#lmStore(lo + 4, Math.floor(value / TWO_32));
    }
    this.#lmStore(LM_LOGGING_CTRL, LOG_VF);
  }

  disableLogging(): void {
    this.#lmStore(LM_LOGGING_CTRL, 0);
  }

  #feature(half: number): bigint {
    this.#store(at.device_feature_select, 4, half);
    return BigInt(this.#load(at.device_feature, 4) >>> 0);
  }

  #status(value: number): void {
    this.#store(at.device_status, 1, value);
  }

  #lmStore(offset: number, value: number): void {
    this.#p.proc.mm.store(this.#bar(LM_BAR) + offset, 4, value);
  }

  /** Address of a mapped BAR. */
  #bar(bar: number): number {
    const mapped = this.#bars.get(bar);
    if (mapped === undefined) throw refuse('ifc.bar', `BAR ${bar} is not mapped`, 'EIO');
    return mapped.va;
  }

  #load(offset: number, size: 1 | 2 | 4): number {
    return this.#p.proc.mm.load(this.#bar(this.#common.bar) + this.#common.offset + offset, size);
  }

  #store(offset: number, size: 1 | 2 | 4, value: number): void {
    this.#p.proc.mm.store(this.#bar(this.#common.bar) + this.#common.offset + offset, size, value);
  }
}

/** Where the vendor capabilities say the structures are. @throws EIO when one is missing */
function findWindows(config: Uint8Array): { readonly common: Window; readonly notify: Window; readonly multiplier: number } {
  const view = new DataView(config.buffer, config.byteOffset, config.byteLength) as DataView<ArrayBuffer>; // what a read gives is never shared
  let common: Window | null = null;
  let notify: Window | null = null;
  let multiplier = 0;
  for (let pos = view.getUint8(PCI_CAPABILITY_LIST) & ~3, n = 0; pos >= 0x40 && n < 48; pos = view.getUint8(pos + 1) & ~3, n++) {
    if (view.getUint8(pos) !== PCI_CAP_ID_VNDR) continue;
    const { cfg_type, bar, offset } = virtio_pci_cap.read(view, pos);
    if (cfg_type === VIRTIO_PCI_CAP_COMMON_CFG) common ??= { bar, offset };
    if (cfg_type === VIRTIO_PCI_CAP_NOTIFY_CFG && notify === null) {
      notify = { bar, offset };
      multiplier = virtio_pci_notify_cap.read(view, pos).notify_off_multiplier;
    }
  }
  if (common === null || notify === null) throw refuse('ifc.capabilities', 'no common or notify structure', 'EIO');
  return { common, notify, multiplier };
}

/** Where a ring's indexes lie in the live migration region. */
function ringStateAt(index: number): number {
  return LM_RING_STATE + Math.floor(index / 2) * PAIR + (index % 2) * 4;
}
