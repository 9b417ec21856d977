/**
 * Device side of a split virtqueue that is not contiguous in memory after translation, or may be remapped while in use.
 *
 * Every access to the ring goes through the mappings, byte by byte where it must. Slow, and the plain form of every
 * operation: what {@link SplitDevice} does quickly is tested against this.
 */
import { VHOST_ACCESS_RO, VHOST_ACCESS_WO, vring_avail_size, vring_desc_table_size, vring_used_size } from '@vdpalab/uapi';
import type { SplitRingAreas } from './areas.ts';
import { isSplitQueueSize } from './areas.ts';
import { DESC_SIZE, QUEUE_SIZE_MAX } from './defs.ts';
import { ExtentCache } from './extent-cache.ts';
import type { RingArea } from './memory.ts';
import { RingBytes } from './ring-bytes.ts';
import { SplitDevice } from './split-device.ts';
import type { RingDeviceOptions } from './device-core.ts';
import { SplitRing } from './split-ring.ts';
import type { Translate } from './translate.ts';

const TWO_32 = 0x1_0000_0000;

/** A split virtqueue as the driver describes it: addresses before translation, below 2^53. */
export interface SplitRingAddresses {
  /** Queue size, in descriptors: a power of two, 1 to 32768. */
  readonly num: number;
  readonly desc: number;
  readonly avail: number;
  readonly used: number;
}

/** Device side of a split virtqueue, through its mappings. */
export class GatheredSplitDevice extends SplitRing {
  protected readonly at: SplitRingAddresses;
  protected readonly desc: RingBytes;
  protected readonly avail: RingBytes;
  protected readonly used: RingBytes;

  /** @throws RangeError when the queue size or an address cannot be */
  constructor(addresses: SplitRingAddresses, options: RingDeviceOptions) {
    const { num, desc, avail, used } = addresses;
    if (!isSplitQueueSize(num)) throw new RangeError(`split device: queue size ${num} is not a power of two up to ${QUEUE_SIZE_MAX}`);
    for (const address of [desc, avail, used]) {
      if (!Number.isSafeInteger(address) || address < 0) throw new RangeError(`split device: ${address} is not an address below 2^53`);
    }
    super(num, options);
    this.at = addresses;
    this.desc = new RingBytes(options.translate, this.threaded);
    this.avail = new RingBytes(options.translate, this.threaded);
    this.used = new RingBytes(options.translate, this.threaded);
  }

  protected loadAvailIndex(): number {
    return this.avail.load16(this.at.avail + 2);
  }

  protected loadAvailFlags(): number {
    return this.avail.load16(this.at.avail);
  }

  protected loadUsedEvent(): number {
    return this.avail.load16(this.at.avail + 4 + 2 * this.num);
  }

  protected loadHead(slot: number): number {
    return this.avail.load16(this.at.avail + 4 + 2 * slot);
  }

  protected loadDesc(index: number): number {
    const { desc } = this;
    if (!desc.load(this.at.desc + index * DESC_SIZE, DESC_SIZE)) return this.noRing('descriptor table');
    this.dLo = desc.u32(0);
    this.dHi = desc.u32(4);
    this.dLen = desc.u32(8);
    this.dLow = desc.u16(12);
    this.dHigh = desc.u16(14);
    return 0;
  }

  protected storeUsed(slot: number, id: number, length: number): number {
    const { bytes } = this.used;
    for (let b = 0; b < 4; b++) {
      bytes[b] = id >>> (8 * b);
      bytes[4 + b] = length >>> (8 * b);
    }
    return this.used.store(this.at.used + 4 + 8 * slot, 8);
  }

  protected storeUsedIndex(index: number): number {
    return this.used.store16(this.at.used + 2, index);
  }

  protected storeUsedFlags(flags: number): number {
    return this.used.store16(this.at.used, flags);
  }

  protected storeAvailEvent(index: number): number {
    return this.used.store16(this.at.used + 4 + 8 * this.num, index);
  }
}

/**
 * Where a virtqueue lies once translated, or `null` when one of its areas is not mapped in one piece or is misaligned
 * for word views.
 */
export function resolveSplitAreas(addresses: SplitRingAddresses, translate: Translate): SplitRingAreas | null {
  const { num } = addresses;
  if (!isSplitQueueSize(num)) return null;
  const cache = new ExtentCache(translate);
  const desc = resolve(cache, addresses.desc, vring_desc_table_size(num), VHOST_ACCESS_RO, 4);
  const avail = resolve(cache, addresses.avail, vring_avail_size(num), VHOST_ACCESS_RO, 2);
  const used = resolve(cache, addresses.used, vring_used_size(num), VHOST_ACCESS_WO, 4);
  return desc === null || avail === null || used === null ? null : { num, desc, avail, used };
}

/**
 * The device side that suits a virtqueue: quick where its areas are contiguous now, slow where they are not.
 *
 * The quick one keeps the places found now: when `translate.generation` changes, open the queue anew and `restore` what
 * `save` gave.
 */
export function openSplitDevice(addresses: SplitRingAddresses, options: RingDeviceOptions): SplitDevice | GatheredSplitDevice {
  const areas = resolveSplitAreas(addresses, options.translate);
  return areas === null ? new GatheredSplitDevice(addresses, options) : new SplitDevice(areas, options);
}

function resolve(cache: ExtentCache, address: number, size: number, want: number, align: number): RingArea | null {
  if (!Number.isSafeInteger(address) || address < 0) return null;
  if (cache.reach(address >>> 0, Math.floor(address / TWO_32), size, want) < size) return null;
  const memory = cache.memory!;
  return (memory.byteOffset + cache.at) % align === 0 ? { memory, offset: cache.at } : null;
}

