/** The common configuration structure (virtio 1.2, section 4.1.4.3). */
import {
  VIRTIO_CONFIG_S_DRIVER_OK, VIRTIO_CONFIG_S_FEATURES_OK, VIRTIO_CONFIG_S_NEEDS_RESET, VIRTIO_F_RING_PACKED, VIRTIO_F_RING_RESET, VIRTIO_MSI_NO_VECTOR,
  VIRTIO_PCI_COMMON_CFGGENERATION, VIRTIO_PCI_COMMON_DF, VIRTIO_PCI_COMMON_DFSELECT, VIRTIO_PCI_COMMON_GF,
  VIRTIO_PCI_COMMON_GFSELECT, VIRTIO_PCI_COMMON_MSIX, VIRTIO_PCI_COMMON_Q_DESCLO, VIRTIO_PCI_COMMON_Q_ENABLE,
  VIRTIO_PCI_COMMON_Q_MSIX, VIRTIO_PCI_COMMON_Q_RESET, VIRTIO_PCI_COMMON_Q_SELECT, VIRTIO_PCI_COMMON_Q_SIZE, VIRTIO_PCI_COMMON_Q_USEDHI,
  VIRTIO_PCI_COMMON_STATUS,
} from '@vdpalab/uapi';
import { ADDRESS_REGISTERS } from './queue.ts';
import type { VirtQueue } from './queue.ts';
import type { FeatureWords } from './features.ts';

/** What register writes set off. */
export interface CommonEvents {
  /** 0 was written to the status: stop everything before it reads back. */
  readonly reset: () => undefined;
  /** DRIVER_OK was set. */
  readonly driverOk: () => undefined;
  readonly enable: (queue: VirtQueue) => undefined;
  readonly disable: (queue: VirtQueue) => undefined;
  /** 1 was written to a queue's reset register. */
  readonly resetQueue: (queue: VirtQueue) => undefined;
}

/** The registers, and the negotiation that happens in them. */
export class CommonConfig {
  status = 0;
  generation = 0;
  /** MSI-X vector of configuration changes, or VIRTIO_MSI_NO_VECTOR. */
  configVector = VIRTIO_MSI_NO_VECTOR;
  /** Features the driver wrote. */
  driverLo = 0;
  driverHi = 0;
  private deviceSelect = 0;
  private driverSelect = 0;
  private queueSelect = 0;
  /** Features the device has. */
  readonly offered: FeatureWords;
  private readonly queues: readonly VirtQueue[];
  private readonly vectors: number;
  private readonly events: CommonEvents;

  /** @param vectors MSI-X vectors of the function */
  constructor(offered: FeatureWords, queues: readonly VirtQueue[], vectors: number, events: CommonEvents) {
    this.offered = offered;
    this.queues = queues;
    this.vectors = vectors;
    this.events = events;
  }

  /** Whether the driver said that it drives and the device has not given up. */
  get running(): boolean {
    return (this.status & (VIRTIO_CONFIG_S_DRIVER_OK | VIRTIO_CONFIG_S_NEEDS_RESET)) === VIRTIO_CONFIG_S_DRIVER_OK;
  }

  /** Whether both sides want a feature. */
  negotiated(bit: number): boolean {
    const both = bit < 32 ? this.driverLo & this.offered.lo : this.driverHi & this.offered.hi;
    return (both & (1 << (bit & 31))) !== 0;
  }

  /** All registers but the generation as at power-on. */
  reset(): undefined {
    this.status = 0;
    this.configVector = VIRTIO_MSI_NO_VECTOR;
    this.driverLo = 0;
    this.driverHi = 0;
    this.deviceSelect = 0;
    this.driverSelect = 0;
    this.queueSelect = 0;
  }

  /** Any width, any place: reads have no effect. */
  read(offset: number, size: 1 | 2 | 4): number {
    const word = this.word(offset & ~3) >>> (8 * (offset & 3));
    return size === 4 ? word >>> 0 : word & ((1 << (8 * size)) - 1);
  }

  /** Writes take effect when they are as wide as the register; others are lost. */
  write(offset: number, size: 1 | 2 | 4, value: number): undefined {
    if (size === 4) this.write32(offset, value);
    else if (size === 2) this.write16(offset, value);
    else if (offset === VIRTIO_PCI_COMMON_STATUS) this.writeStatus(value);
  }

  private word(at: number): number {
    const queue = this.queues[this.queueSelect];
    switch (at) {
      case VIRTIO_PCI_COMMON_DFSELECT: return this.deviceSelect;
      case VIRTIO_PCI_COMMON_DF: return pick(this.deviceSelect, this.offered.lo, this.offered.hi);
      case VIRTIO_PCI_COMMON_GFSELECT: return this.driverSelect;
      case VIRTIO_PCI_COMMON_GF: return pick(this.driverSelect, this.driverLo, this.driverHi);
      case VIRTIO_PCI_COMMON_MSIX: return this.configVector | (this.queues.length << 16);
      case VIRTIO_PCI_COMMON_STATUS:
        return this.status | (this.generation << 8 * (VIRTIO_PCI_COMMON_CFGGENERATION & 3)) | (this.queueSelect << 16);
      case VIRTIO_PCI_COMMON_Q_SIZE: return queue === undefined ? VIRTIO_MSI_NO_VECTOR << 16 : queue.size | (queue.vector << 16);
      // The notify offset of a queue is its index.
      case VIRTIO_PCI_COMMON_Q_ENABLE: return queue === undefined ? 0 : (queue.enabled ? 1 : 0) | (queue.index << 16);
      default: {
        const name = ADDRESS_REGISTERS[(at - VIRTIO_PCI_COMMON_Q_DESCLO) >>> 2];
        return queue === undefined || name === undefined ? 0 : queue[name];
      }
    }
  }

  private write32(offset: number, value: number): undefined {
    switch (offset) {
      case VIRTIO_PCI_COMMON_DFSELECT:
        this.deviceSelect = value;
        return;
      case VIRTIO_PCI_COMMON_GFSELECT:
        this.driverSelect = value;
        return;
      case VIRTIO_PCI_COMMON_GF:
        // Fixed once both sides agreed (virtio 1.2, section 3.1.1).
        if ((this.status & VIRTIO_CONFIG_S_FEATURES_OK) !== 0) return;
        if (this.driverSelect === 0) this.driverLo = value;
        else if (this.driverSelect === 1) this.driverHi = value;
        return;
      default: {
        const queue = this.queues[this.queueSelect];
        const name = ADDRESS_REGISTERS[(offset - VIRTIO_PCI_COMMON_Q_DESCLO) >>> 2];
        if (queue === undefined || queue.enabled || name === undefined || offset > VIRTIO_PCI_COMMON_Q_USEDHI) return;
        queue[name] = value;
      }
    }
  }

  private write16(offset: number, value: number): undefined {
    const queue = this.queues[this.queueSelect];
    switch (offset) {
      case VIRTIO_PCI_COMMON_MSIX:
        this.configVector = this.mapVector(value);
        return;
      case VIRTIO_PCI_COMMON_Q_SELECT:
        this.queueSelect = value;
        return;
      case VIRTIO_PCI_COMMON_Q_SIZE:
        queue?.setSize(value, this.negotiated(VIRTIO_F_RING_PACKED));
        return;
      case VIRTIO_PCI_COMMON_Q_MSIX:
        if (queue !== undefined) queue.vector = this.mapVector(value);
        return;
      case VIRTIO_PCI_COMMON_Q_ENABLE:
        if (queue === undefined || queue.enabled === (value === 1)) return;
        if (value === 1) this.events.enable(queue);
        // The spec forbids the driver this; the drivers of the real device stop queues so.
        else if (value === 0) this.events.disable(queue);
        return;
      case VIRTIO_PCI_COMMON_Q_RESET:
        // Done at once: the register reads back 0.
        if (queue !== undefined && value === 1 && this.negotiated(VIRTIO_F_RING_RESET)) this.events.resetQueue(queue);
        return;
      default:
    }
  }

  /** A vector the function does not have reads back as none (virtio 1.2, section 4.1.5.1.2.1). */
  private mapVector(vector: number): number {
    return vector < this.vectors ? vector : VIRTIO_MSI_NO_VECTOR;
  }

  private writeStatus(value: number): undefined {
    if (value === 0) {
      this.events.reset();
      return;
    }
    const before = this.status;
    let next = value | (before & VIRTIO_CONFIG_S_NEEDS_RESET);
    if ((next & ~before & VIRTIO_CONFIG_S_FEATURES_OK) !== 0 && !this.acceptable()) next &= ~VIRTIO_CONFIG_S_FEATURES_OK;
    this.status = next;
    if ((next & ~before & VIRTIO_CONFIG_S_DRIVER_OK) !== 0) this.events.driverOk();
  }

  private acceptable(): boolean {
    return (this.driverLo & ~this.offered.lo) === 0 && (this.driverHi & ~this.offered.hi) === 0;
  }
}

function pick(select: number, lo: number, hi: number): number {
  return select === 0 ? lo : select === 1 ? hi : 0;
}
