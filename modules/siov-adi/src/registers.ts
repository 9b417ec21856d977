/** One interface's registers, in its window of BAR 2, and its PASID, in BAR 0. */
import type { Atomic } from '@vdpalab/abi';
import type { IoMem } from '@vdpalab/pci';
import type { SchedSymbols } from '@vdpalab/sched';
import { virtio_net_config, virtio_pci_common_cfg } from '@vdpalab/uapi';

/** Offsets in BAR 0. */
export const REG_COUNT = 0x00;
export const REG_WINDOW = 0x04;
export const REG_VECTORS = 0x08;
const REG_PASID = 0x100;
const REG_LEADER = 0x200;
/** Of a PASID and of a leader: there is one. */
const VALID = 0x8000_0000;

/** Offsets in a window. */
const DEVICE_OFFSET = 0x0800;
const STATE_OFFSET = 0x1000;
const DOORBELL_OFFSET = 0x4000;
/** Bytes of a doorbell: a page, so that it can be mapped. */
export const DOORBELL_SIZE = 4096;
/** Queues of an interface: a pair, and what controls it. */
export const PAIR_QUEUES = 2;
export const CONTROL_QUEUE = 2;

const common = virtio_pci_common_cfg.offsets;

/** Registers of one interface. */
export class AdiRegisters {
  readonly index: number;
  /** Bytes of configuration. */
  readonly configSize = virtio_net_config.size;
  readonly #k: Pick<SchedSymbols, 'cpu_relax'>;
  readonly #control: IoMem;
  readonly #mem: IoMem;
  readonly #base: number;

  /** @param control, mem BARs 0 and 2 @param window bytes of a window */
  constructor(k: Pick<SchedSymbols, 'cpu_relax'>, control: IoMem, mem: IoMem, window: number, index: number) {
    this.#k = k;
    this.#control = control;
    this.#mem = mem;
    this.#base = index * window;
    this.index = index;
  }

  /** What its DMA carries; null for no DMA. It resets the interface. */
  setPasid(pasid: number | null): Atomic {
    return this.#control.write32(REG_PASID + 4 * this.index, pasid === null ? 0 : (VALID | pasid) >>> 0);
  }

  /** The interface whose place in the network it shares; null for its own. */
  setLeader(leader: number | null): Atomic {
    return this.#control.write32(REG_LEADER + 4 * this.index, leader === null ? 0 : (VALID | leader) >>> 0);
  }

  get status(): number {
    return this.#mem.read8(this.#base + common.device_status);
  }

  set status(value: number) {
    this.#mem.write8(this.#base + common.device_status, value);
  }

  /** Status 0, and wait until the device says so. */
  async reset(): Promise<void> {
    this.status = 0;
    while (this.status !== 0) await this.#k.cpu_relax();
  }

  get features(): bigint {
    return this.#features(common.device_feature_select, common.device_feature);
  }

  get driverFeatures(): bigint {
    return this.#features(common.guest_feature_select, common.guest_feature);
  }

  set driverFeatures(features: bigint) {
    for (const half of [0, 1]) {
      this.#mem.write32(this.#base + common.guest_feature_select, half);
      this.#mem.write32(this.#base + common.guest_feature, Number((features >> BigInt(32 * half)) & 0xffff_ffffn));
    }
  }

  /** Largest size of a queue in descriptors, as long as no other was set since the reset. */
  queueSize(qid: number): number {
    this.#select(qid);
    return this.#mem.read16(this.#base + common.queue_size);
  }

  setQueueSize(qid: number, num: number): Atomic {
    this.#select(qid);
    return this.#mem.write16(this.#base + common.queue_size, num);
  }

  setQueueAddress(qid: number, desc: bigint, driver: bigint, device: bigint): Atomic {
    this.#select(qid);
    for (const [at, value] of [[common.queue_desc_lo, desc], [common.queue_avail_lo, driver], [common.queue_used_lo, device]] as const) {
      this.#mem.write32(this.#base + at, Number(value & 0xffff_ffffn));
      this.#mem.write32(this.#base + at + 4, Number(value >> 32n));
    }
    return undefined;
  }

  getQueueReady(qid: number): boolean {
    this.#select(qid);
    return this.#mem.read16(this.#base + common.queue_enable) !== 0;
  }

  setQueueReady(qid: number, ready: boolean): Atomic {
    this.#select(qid);
    return this.#mem.write16(this.#base + common.queue_enable, ready ? 1 : 0);
  }

  /** @param vector of the interface: 0 is its first */
  setQueueVector(qid: number, vector: number): Atomic {
    this.#select(qid);
    return this.#mem.write16(this.#base + common.queue_msix_vector, vector);
  }

  setConfigVector(vector: number): Atomic {
    return this.#mem.write16(this.#base + common.msix_config, vector);
  }

  /** Available index the queue goes on from. */
  getQueueState(qid: number): number {
    return this.#mem.read16(this.#base + STATE_OFFSET + 4 * qid);
  }

  setQueueState(qid: number, availIndex: number): Atomic {
    return this.#mem.write32(this.#base + STATE_OFFSET + 4 * qid, availIndex);
  }

  kick(qid: number): Atomic {
    return this.#mem.write16(this.doorbell(qid), qid);
  }

  /** Where a queue's doorbell lies in BAR 2. */
  doorbell(qid: number): number {
    return this.#base + DOORBELL_OFFSET + qid * DOORBELL_SIZE;
  }

  get generation(): number {
    return this.#mem.read8(this.#base + common.config_generation);
  }

  /** Configuration, read again until its generation stands still. */
  readConfig(offset: number, len: number): Uint8Array {
    for (;;) {
      const before = this.generation;
      const bytes = Uint8Array.from({ length: len }, (_, i) => this.#mem.read8(this.#base + DEVICE_OFFSET + offset + i));
      if (this.generation === before) return bytes;
    }
  }

  #features(select: number, at: number): bigint {
    this.#mem.write32(this.#base + select, 0);
    const low = this.#mem.read32(this.#base + at);
    this.#mem.write32(this.#base + select, 1);
    return (BigInt(this.#mem.read32(this.#base + at) >>> 0) << 32n) | BigInt(low >>> 0);
  }

  #select(qid: number): Atomic {
    return this.#mem.write16(this.#base + common.queue_select, qid);
  }
}
