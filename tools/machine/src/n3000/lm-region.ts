/**
 * The live migration region in BAR 4: ring state, and the log of pages the function has written.
 *
 * @see DPDK drivers/vdpa/ifc/base/ifcvf.h; Linux 6.1 drivers/vdpa/ifcvf/ifcvf_base.h `struct ifcvf_lm_cfg`
 */
import type { VirtQueue } from '../virtio/queue.ts';

/**
 * How ring state is addressed.
 *
 * `pairs`: 0x40 bytes for each pair of queues, 4 for each queue in it: DPDK, and Linux 6.1's `struct ifcvf_lm_cfg`.
 * `linear`: 4 bytes for each queue, as Linux has had it since 6.3. `none`: there is no region.
 */
export type MigrationProfile = 'pairs' | 'linear' | 'none';

/** Log control: 0 off, 1 logged by the function itself, 3 by its physical function. */
export const LM_LOGGING_CTRL = 0x00;
export const LM_STATUS = 0x08;
export const LM_LOG_BASE_LO = 0x10;
export const LM_LOG_BASE_HI = 0x14;
export const LM_LOG_END_LO = 0x18;
export const LM_LOG_END_HI = 0x1c;
export const LM_RING_STATE = 0x20;
/** Queue pairs in use; only where ring state is addressed by pairs. */
export const LM_QUEUE_PAIRS = 0x28;
const PAIR_STRIDE = 0x40;
const QUEUE_STRIDE = 4;

/** Where a queue's state word lies: low half next available, high half next used entry. */
export function ringStateOffset(profile: MigrationProfile, queue: number): number {
  return profile === 'linear'
    ? LM_RING_STATE + queue * QUEUE_STRIDE
    : LM_RING_STATE + (queue >>> 1) * PAIR_STRIDE + (queue & 1) * QUEUE_STRIDE;
}

/** What writes to the region set off. */
export interface MigrationEvents {
  /** Log control, base or end changed. */
  readonly logging: () => undefined;
  /** The driver wants this many queue pairs. */
  readonly pairs: (count: number) => undefined;
}

/** The region's registers. */
export class MigrationRegion {
  /** 0, 1 or 3. */
  control = 0;
  baseLo = 0;
  baseHi = 0;
  endLo = 0;
  endHi = 0;
  private pairs = 0;
  private readonly profile: MigrationProfile;
  private readonly queues: readonly VirtQueue[];
  private readonly events: MigrationEvents;

  constructor(profile: MigrationProfile, queues: readonly VirtQueue[], events: MigrationEvents) {
    this.profile = profile;
    this.queues = queues;
    this.events = events;
  }

  /** All registers as at power-on; ring state is the queues' own. */
  reset(): undefined {
    this.control = 0;
    this.baseLo = 0;
    this.baseHi = 0;
    this.endLo = 0;
    this.endHi = 0;
    this.pairs = 0;
  }

  read(offset: number, size: 1 | 2 | 4): number {
    const word = this.word(offset & ~3) >>> (8 * (offset & 3));
    return size === 4 ? word >>> 0 : word & ((1 << (8 * size)) - 1);
  }

  write(offset: number, size: 1 | 2 | 4, value: number): undefined {
    const queue = this.queueAt(offset & ~3);
    if (queue !== null) this.writeState(queue, offset & 3, size, value);
    else if (size === 4) this.write32(offset, value);
  }

  private word(at: number): number {
    switch (at) {
      case LM_LOGGING_CTRL: return this.control;
      case LM_LOG_BASE_LO: return this.baseLo;
      case LM_LOG_BASE_HI: return this.baseHi;
      case LM_LOG_END_LO: return this.endLo;
      case LM_LOG_END_HI: return this.endHi;
      default: {
        const queue = this.queueAt(at);
        if (queue === null) return at === LM_QUEUE_PAIRS ? this.pairs : 0;
        const { lastAvail, lastUsed } = queue.state;
        return lastAvail | (lastUsed << 16);
      }
    }
  }

  private write32(offset: number, value: number): undefined {
    switch (offset) {
      case LM_LOGGING_CTRL:
        this.control = value === 1 || value === 3 ? value : 0;
        break;
      case LM_LOG_BASE_LO:
        this.baseLo = value;
        break;
      case LM_LOG_BASE_HI:
        this.baseHi = value;
        break;
      case LM_LOG_END_LO:
        this.endLo = value;
        break;
      case LM_LOG_END_HI:
        this.endHi = value;
        break;
      case LM_QUEUE_PAIRS:
        this.pairs = value;
        this.events.pairs(value);
        return;
      default:
        return;
    }
    this.events.logging();
  }

  /**
   * Ring state is written whole, or the available index alone as Linux does: its device has used all that it took, so
   * the used index becomes the same.
   */
  private writeState(queue: VirtQueue, byte: number, size: 1 | 2 | 4, value: number): undefined {
    const { lastAvail } = queue.state;
    if (size === 4) queue.state = { lastAvail: value & 0xffff, lastUsed: value >>> 16 };
    else if (size === 2 && byte === 0) queue.state = { lastAvail: value, lastUsed: value };
    else if (size === 2 && byte === 2) queue.state = { lastAvail, lastUsed: value };
  }

  private queueAt(at: number): VirtQueue | null {
    if (at < LM_RING_STATE) return null;
    const into = at - LM_RING_STATE;
    const index = this.profile === 'linear'
      ? into >>> 2
      : (into % PAIR_STRIDE) < 2 * QUEUE_STRIDE ? 2 * Math.floor(into / PAIR_STRIDE) + ((into >>> 2) & 1) : -1;
    return this.queues[index] ?? null;
  }
}
