/** A split virtqueue written word by word, so that a test can write one no driver would. */
import { vring_avail_size, vring_desc_table_size, vring_used_size } from '@vdpalab/uapi';
import { AVAIL_RING, DESC_SIZE, usedEventAt } from '../defs.ts';
import type { SplitRingAddresses } from '../split-device-gathered.ts';

/** A descriptor to write; what is absent is 0. */
export interface MockDescriptor {
  /** Below 2^64. */
  readonly addr?: number | bigint;
  readonly len?: number;
  /** `VRING_DESC_F_*`. */
  readonly flags?: number;
  readonly next?: number;
}

/** Bytes a mock ring is written to, by address. */
export interface MockBytes {
  read(address: number, length: number): Uint8Array;
  write(address: number, bytes: Uint8Array): undefined;
}

/** A split virtqueue in the legacy layout at an address. */
export class MockRing implements SplitRingAddresses {
  readonly num: number;
  readonly desc: number;
  readonly avail: number;
  readonly used: number;
  /** First address behind the ring. */
  readonly end: number;
  /** Next available index to write. */
  private index = 0;
  private readonly bytes: MockBytes;

  /**
   * @param at address of the descriptor table
   * @param num queue size, in descriptors
   * @param start first index, as if the ring had been in use
   */
  constructor(bytes: MockBytes, at: number, num: number, start = 0) {
    this.bytes = bytes;
    this.num = num;
    this.desc = at;
    this.avail = at + vring_desc_table_size(num);
    this.used = Math.ceil((this.avail + vring_avail_size(num)) / 4) * 4;
    this.end = this.used + vring_used_size(num);
    this.index = start & 0xffff;
    this.setAvailIndex(start);
    this.write16(this.used + 2, start);
  }

  /** Write descriptor `i` of the ring's table. */
  setDescriptor(i: number, descriptor: MockDescriptor): undefined {
    this.setDescriptorAt(this.desc + i * DESC_SIZE, descriptor);
  }

  /** Write a descriptor anywhere: in an indirect table. */
  setDescriptorAt(address: number, { addr = 0, len = 0, flags = 0, next = 0 }: MockDescriptor): undefined {
    const view = new DataView(new ArrayBuffer(DESC_SIZE));
    view.setBigUint64(0, BigInt(addr), true);
    view.setUint32(8, len, true);
    view.setUint16(12, flags, true);
    view.setUint16(14, next, true);
    this.bytes.write(address, new Uint8Array(view.buffer));
  }

  /** Write descriptors one after another from `i` on, chained by NEXT; `flags` get it added. */
  setChain(i: number, descriptors: readonly MockDescriptor[]): undefined {
    descriptors.forEach((descriptor, k) => {
      const more = k + 1 < descriptors.length;
      const flags = (descriptor.flags ?? 0) | (more ? 1 : 0);
      this.setDescriptor(i + k, { ...descriptor, flags, next: more ? i + k + 1 : 0 });
    });
  }

  /** Make descriptors available, and publish. */
  offer(...heads: readonly number[]): undefined {
    for (const head of heads) {
      this.write16(this.avail + 2 * (AVAIL_RING + (this.index & (this.num - 1))), head);
      this.index = (this.index + 1) & 0xffff;
    }
    this.setAvailIndex(this.index);
  }

  setAvailIndex(index: number): undefined {
    this.write16(this.avail + 2, index);
  }

  setAvailFlags(flags: number): undefined {
    this.write16(this.avail, flags);
  }

  setUsedEvent(index: number): undefined {
    this.write16(this.avail + 2 * usedEventAt(this.num), index);
  }

  get usedIndex(): number {
    return this.read16(this.used + 2);
  }

  get usedFlags(): number {
    return this.read16(this.used);
  }

  get availEvent(): number {
    return this.read16(this.used + 4 + 8 * this.num);
  }

  /** Write a used entry as a device would, unpublished. */
  setUsed(slot: number, id: number, len: number): undefined {
    const view = new DataView(new ArrayBuffer(8));
    view.setUint32(0, id, true);
    view.setUint32(4, len, true);
    this.bytes.write(this.used + 4 + 8 * slot, new Uint8Array(view.buffer));
  }

  setUsedIndex(index: number): undefined {
    this.write16(this.used + 2, index);
  }

  setUsedFlags(flags: number): undefined {
    this.write16(this.used, flags);
  }

  setAvailEvent(index: number): undefined {
    this.write16(this.used + 4 + 8 * this.num, index);
  }

  /** The used entry in a slot: `[id, len]`. */
  usedEntry(slot: number): readonly [number, number] {
    const bytes = this.bytes.read(this.used + 4 + 8 * slot, 8);
    const view = new DataView(bytes.buffer, bytes.byteOffset, 8);
    return [view.getUint32(0, true), view.getUint32(4, true)];
  }

  private read16(address: number): number {
    const bytes = this.bytes.read(address, 2);
    return bytes[0] | (bytes[1] << 8);
  }

  private write16(address: number, value: number): undefined {
    this.bytes.write(address, Uint8Array.of(value, value >>> 8));
  }
}
