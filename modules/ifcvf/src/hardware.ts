/** The function's registers. Mirrors `drivers/vdpa/ifcvf/ifcvf_base.c` (Linux 6.1). */
import { KernelError } from '@vdpalab/abi';
import type { Atomic } from '@vdpalab/abi';
import type { DriverCoreSymbols } from '@vdpalab/driver-core';
import type { IoMem, PciDev, PciSymbols } from '@vdpalab/pci';
import type { SchedSymbols } from '@vdpalab/sched';
import {
  PCI_CAP_ID_VNDR, VIRTIO_F_ACCESS_PLATFORM, VIRTIO_ID_NET, VIRTIO_PCI_CAP_COMMON_CFG, VIRTIO_PCI_CAP_DEVICE_CFG,
  VIRTIO_PCI_CAP_ISR_CFG, VIRTIO_PCI_CAP_NOTIFY_CFG, virtio_net_config, virtio_pci_cap, virtio_pci_common_cfg,
} from '@vdpalab/uapi';

/** BAR with the live-migration region. */
export const IFCVF_LM_BAR = 4;
const PCI_STD_NUM_BARS = 6;
/** Bytes before the ring states, and bytes for a pair of queues. */
const LM_RING_STATE_OFFSET = 0x20;
const LM_CFG_SIZE = 0x40;

/** Offsets of `struct virtio_pci_common_cfg`. */
const common = virtio_pci_common_cfg.offsets;

/** What reaching the registers takes. */
export type HardwareSymbols =
  & Pick<PciSymbols,
    | 'pci_find_capability' | 'pci_find_next_capability' | 'pci_read_config_byte' | 'pci_read_config_dword' | 'pci_resource_start'
    | 'pci_resource_len'>
  & Pick<DriverCoreSymbols, 'dev_err'> & Pick<SchedSymbols, 'cpu_relax'>;

/** A window inside a mapped BAR. */
interface Window {
  readonly mem: IoMem;
  readonly offset: number;
  readonly length: number;
  readonly bar: number;
}

/** Where a queue's doorbell lies. */
interface Doorbell {
  readonly offset: number;
  readonly pa: number;
}

/** `virtio_pci_cap`: which window, in which BAR. */
interface Capability {
  readonly pos: number;
  readonly type: number;
  readonly bar: number;
  readonly offset: number;
  readonly length: number;
}

/** Device type by PCI device id: transitional ids say it in the subsystem id. */
export function deviceType(pdev: PciDev): number {
  return pdev.device < 0x1040 ? pdev.subsystem_device : pdev.device - 0x1040;
}

/** One function, its windows found and checked. */
export class IfcvfHw {
  readonly pdev: PciDev;
  readonly type: number;
  readonly nrVring: number;
  readonly configSize: number;
  readonly notifyMultiplier: number;
  readonly features: bigint;
  readonly #k: HardwareSymbols;
  readonly #common: Window;
  readonly #notify: Window;
  readonly #device: Window;
  readonly #isr: Window;
  readonly #lm: IoMem;
  readonly #doorbells: readonly Doorbell[];

  /**
   * Find the windows.
   *
   * @param bars mapped BARs by number
   * @throws EIO when a window is missing or does not lie inside its BAR
   */
  constructor(k: HardwareSymbols, pdev: PciDev, bars: readonly (IoMem | null)[]) {
    this.#k = k;
    this.pdev = pdev;
    this.type = deviceType(pdev);
    const caps = readCapabilities(k, pdev);
    const window = (type: number, what: string): Window => this.#window(caps.findLast((c) => c.type === type), what, bars);
    this.#common = window(VIRTIO_PCI_CAP_COMMON_CFG, 'common');
    this.#notify = window(VIRTIO_PCI_CAP_NOTIFY_CFG, 'notify');
    this.#isr = window(VIRTIO_PCI_CAP_ISR_CFG, 'isr');
    this.#device = window(VIRTIO_PCI_CAP_DEVICE_CFG, 'device');
    const lm = bars[IFCVF_LM_BAR] ?? null;
    if (lm === null) throw new KernelError('EIO', 'ifcvf.init.lm', `${pdev.dev.name}: BAR ${IFCVF_LM_BAR} is not mapped`);
    this.#lm = lm;
    const notify = caps.findLast((c) => c.type === VIRTIO_PCI_CAP_NOTIFY_CFG) as Capability; // found just above
    this.notifyMultiplier = k.pci_read_config_dword(pdev, notify.pos + virtio_pci_cap.size);
    this.nrVring = this.#read16(common.num_queues);
    this.#doorbells = Array.from({ length: this.nrVring }, (_, qid) => this.#doorbell(qid));
    this.features = this.#readFeatures();
    this.configSize = Math.min(this.type === VIRTIO_ID_NET ? virtio_net_config.size : this.#device.length, this.#device.length);
  }

  get status(): number {
    return this.#read8(common.device_status);
  }

  set status(value: number) {
    this.#write8(common.device_status, value);
  }

  /** Status 0, and wait until the device says so. */
  async reset(): Promise<void> {
    this.status = 0;
    while (this.status !== 0) await this.#k.cpu_relax();
  }

  /** @throws EINVAL for features without ACCESS_PLATFORM; none at all is what a legacy guess writes */
  verifyFeatures(features: bigint): Atomic {
    if (features !== 0n && (features & (1n << BigInt(VIRTIO_F_ACCESS_PLATFORM))) === 0n) {
      this.#k.dev_err(this.pdev.dev, 'VIRTIO_F_ACCESS_PLATFORM is not negotiated');
      const text = `${this.pdev.dev.name}: features 0x${features.toString(16)} lack ACCESS_PLATFORM`;
      throw new KernelError('EINVAL', 'ifcvf.features.access-platform', text);
    }
    return undefined;
  }

  get driverFeatures(): bigint {
    return this.#feature64(common.guest_feature_select, common.guest_feature);
  }

  set driverFeatures(features: bigint) {
    for (const half of [0, 1]) {
      this.#write32(common.guest_feature_select, half);
      this.#write32(common.guest_feature, Number((features >> BigInt(32 * half)) & 0xffff_ffffn));
    }
  }

  /** Largest size all queues take, in descriptors. */
  get maxVqSize(): number {
    let max = this.nrVring === 0 ? 0 : 0xffff;
    for (let qid = 0; qid < this.nrVring; qid++) {
      this.#select(qid);
      const size = this.#read16(common.queue_size);
      if (size !== 0) max = Math.min(max, size);
    }
    return max;
  }

  setVqAddress(qid: number, desc: bigint, driver: bigint, device: bigint): Atomic {
    this.#select(qid);
    this.#write64(common.queue_desc_lo, desc);
    this.#write64(common.queue_avail_lo, driver);
    this.#write64(common.queue_used_lo, device);
    return undefined;
  }

  setVqNum(qid: number, num: number): Atomic {
    this.#select(qid);
    return this.#write16(common.queue_size, num);
  }

  setVqReady(qid: number, ready: boolean): Atomic {
    this.#select(qid);
    return this.#write16(common.queue_enable, ready ? 1 : 0);
  }

  getVqReady(qid: number): boolean {
    this.#select(qid);
    return this.#read16(common.queue_enable) !== 0;
  }

  /** @returns the vector the device took; 0xffff when it took none */
  setVqVector(qid: number, vector: number): number {
    this.#select(qid);
    this.#write16(common.queue_msix_vector, vector);
    return this.#read16(common.queue_msix_vector);
  }

  setConfigVector(vector: number): number {
    this.#write16(common.msix_config, vector);
    return this.#read16(common.msix_config);
  }

  /** Available index the queue goes on from. */
  getVqState(qid: number): number {
    return this.#lm.read16(ringState(qid));
  }

  setVqState(qid: number, availIndex: number): Atomic {
    return this.#lm.write16(ringState(qid), availIndex);
  }

  notify(qid: number): Atomic {
    const bell = this.#doorbells[qid];
    return bell === undefined ? undefined : this.#notify.mem.write16(bell.offset, qid);
  }

  /** Physical address of a queue's doorbell. */
  notifyPa(qid: number): number {
    return this.#doorbells[qid]?.pa ?? 0;
  }

  /** Why the one interrupt for everything came: VIRTIO_PCI_ISR_*; reading clears it. */
  takeIsr(): number {
    return this.#isr.mem.read8(this.#isr.offset);
  }

  get generation(): number {
    return this.#read8(common.config_generation);
  }

  /** Device configuration, read again until its generation stands still. */
  readConfig(offset: number, len: number): Uint8Array {
    const { mem, offset: base } = this.#device;
    for (;;) {
      const before = this.generation;
      const bytes = Uint8Array.from({ length: len }, (_, i) => mem.read8(base + offset + i));
      if (this.generation === before) return bytes;
    }
  }

  writeConfig(offset: number, bytes: Uint8Array): Atomic {
    const { mem, offset: base } = this.#device;
    bytes.forEach((byte, i) => mem.write8(base + offset + i, byte));
    return undefined;
  }

  /** @throws EIO unless the window lies inside a mapped BAR */
  #window(cap: Capability | undefined, what: string, bars: readonly (IoMem | null)[]): Window {
    const refuse = (text: string): never => {
      this.#k.dev_err(this.pdev.dev, 'Incomplete PCI capabilities');
      throw new KernelError('EIO', `ifcvf.init.${what}`, `${this.pdev.dev.name}: ${what} window: ${text}`);
    };
    if (cap === undefined) return refuse('no capability');
    const { bar, offset, length } = cap;
    if (bar >= PCI_STD_NUM_BARS) return refuse(`bar ${bar} of ${PCI_STD_NUM_BARS}`);
    const size = this.#k.pci_resource_len(this.pdev, bar);
    if (offset + length > size) return refuse(`offset ${offset} + ${length} bytes overflow bar ${bar} of ${size} bytes`);
    const mem = bars[bar] ?? null;
    return mem === null ? refuse(`bar ${bar} is not mapped`) : { mem, offset, length, bar };
  }

  #doorbell(qid: number): Doorbell {
    this.#select(qid);
    const offset = this.#notify.offset + this.#read16(common.queue_notify_off) * this.notifyMultiplier;
    return { offset, pa: this.#k.pci_resource_start(this.pdev, this.#notify.bar) + offset };
  }

  #readFeatures(): bigint {
    return this.#feature64(common.device_feature_select, common.device_feature);
  }

  #feature64(select: number, at: number): bigint {
    this.#write32(select, 0);
    const low = this.#read32(at);
    this.#write32(select, 1);
    return (BigInt(this.#read32(at) >>> 0) << 32n) | BigInt(low >>> 0);
  }

  #select(qid: number): Atomic {
    return this.#write16(common.queue_select, qid);
  }

  #read8(at: number): number {
    return this.#common.mem.read8(this.#common.offset + at);
  }

  #read16(at: number): number {
    return this.#common.mem.read16(this.#common.offset + at);
  }

  #read32(at: number): number {
    return this.#common.mem.read32(this.#common.offset + at);
  }

  #write8(at: number, value: number): Atomic {
    return this.#common.mem.write8(this.#common.offset + at, value);
  }

  #write16(at: number, value: number): Atomic {
    return this.#common.mem.write16(this.#common.offset + at, value);
  }

  #write32(at: number, value: number): Atomic {
    return this.#common.mem.write32(this.#common.offset + at, value);
  }

  #write64(at: number, value: bigint): Atomic {
    this.#write32(at, Number(value & 0xffff_ffffn));
    return this.#write32(at + 4, Number(value >> 32n));
  }
}

/** Byte offset of a queue's state in the live-migration region. */
function ringState(qid: number): number {
  return LM_RING_STATE_OFFSET + (qid >> 1) * LM_CFG_SIZE + (qid & 1) * 4;
}

/** Capabilities a list may have before it is taken for a circle, which Linux would walk for ever. */
const CAP_TTL = 48;

/** The vendor-specific capabilities, in the order of the list. */
function readCapabilities(k: HardwareSymbols, pdev: PciDev): Capability[] {
  const caps: Capability[] = [];
  const { offsets } = virtio_pci_cap;
  let pos = k.pci_find_capability(pdev, PCI_CAP_ID_VNDR);
  for (; pos !== 0 && caps.length < CAP_TTL; pos = k.pci_find_next_capability(pdev, pos, PCI_CAP_ID_VNDR)) {
    caps.push({
      pos,
      type: k.pci_read_config_byte(pdev, pos + offsets.cfg_type),
      bar: k.pci_read_config_byte(pdev, pos + offsets.bar),
      offset: k.pci_read_config_dword(pdev, pos + offsets.offset) >>> 0,
      length: k.pci_read_config_dword(pdev, pos + offsets.length) >>> 0,
    });
  }
  return caps;
}
