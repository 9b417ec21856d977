/** A packed virtqueue written word by word, so that a test can write one no driver would. */
import { vring_packed_desc_event } from '@vdpalab/uapi';
import { DESC_SIZE } from '../defs.ts';
import type { PackedRingAddresses } from '../packed-defs.ts';
import { PACKED_AVAIL, PACKED_START, PACKED_USED, packedAfter } from '../packed-defs.ts';
import type { MockBytes } from './mock-ring.ts';

/** A descriptor to write; what is absent is 0. */
export interface MockPackedDescriptor {
  /** Below 2^64. */
  readonly addr?: number | bigint;
  readonly len?: number;
  readonly id?: number;
  /** All flags, those of the wrap counter too. */
  readonly flags?: number;
}

/** A packed virtqueue at an address: descriptors, then the events of driver and device. */
export class MockPackedRing implements PackedRingAddresses {
  readonly num: number;
  readonly desc: number;
  readonly driver: number;
  readonly device: number;
  /** First address behind the ring. */
  readonly end: number;
  /** Where the next descriptor goes. */
  private position: number;
  private readonly bytes: MockBytes;

  /**
   * @param at address of the descriptors
   * @param num queue size, in descriptors
   * @param start first position, as if the ring had been in use
   */
  constructor(bytes: MockBytes, at: number, num: number, start = PACKED_START) {
    this.bytes = bytes;
    this.num = num;
    this.desc = at;
    this.driver = at + num * DESC_SIZE;
    this.device = this.driver + vring_packed_desc_event.size;
    this.end = this.device + vring_packed_desc_event.size;
    this.position = start;
    for (let k = 0, p = start; k < num; k++, p = packedAfter(p, 1, num)) {
      this.setDescriptor(p & 0x7fff, { flags: (p & 0x8000) === 0 ? PACKED_AVAIL | PACKED_USED : 0 }); // used in the lap before
    }
  }

  /** Write the descriptor with an index, whatever lap it is. */
  setDescriptor(index: number, { addr = 0, len = 0, id = 0, flags = 0 }: MockPackedDescriptor): undefined {
    const view = new DataView(new ArrayBuffer(DESC_SIZE));
    view.setBigUint64(0, BigInt(addr), true);
    view.setUint32(8, len, true);
    view.setUint16(12, id, true);
    view.setUint16(14, flags, true);
    this.bytes.write(this.desc + index * DESC_SIZE, new Uint8Array(view.buffer));
  }

  /** Make descriptors available, one behind the other; NEXT is as given. */
  offer(...descriptors: readonly MockPackedDescriptor[]): undefined {
    for (const descriptor of descriptors) {
      const lap = (this.position & 0x8000) === 0 ? PACKED_USED : PACKED_AVAIL;
      this.setDescriptor(this.position & 0x7fff, { ...descriptor, flags: (descriptor.flags ?? 0) | lap });
      this.position = packedAfter(this.position, 1, this.num);
    }
  }

  /** Write the driver's event structure. */
  setDriverEvent(offWrap: number, flags: number): undefined {
    this.bytes.write(this.driver, Uint8Array.of(offWrap, offWrap >>> 8, flags, flags >>> 8));
  }

  /** The device's event structure: `[off_wrap, flags]`. */
  get deviceEvent(): readonly [number, number] {
    const [a, b, c, d] = this.bytes.read(this.device, 4);
    return [a | (b << 8), c | (d << 8)];
  }

  /** A descriptor: `[id, len, flags]`. */
  descriptor(index: number): readonly [number, number, number] {
    const bytes = this.bytes.read(this.desc + index * DESC_SIZE, DESC_SIZE);
    const view = new DataView(bytes.buffer, bytes.byteOffset, DESC_SIZE);
    return [view.getUint16(12, true), view.getUint32(8, true), view.getUint16(14, true)];
  }
}
