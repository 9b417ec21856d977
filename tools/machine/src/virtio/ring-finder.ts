/** Finds where a virtqueue's areas lie, through the function's mappings. */
import type { RamRegion } from '@vdpalab/abi';
import { VHOST_ACCESS_RO, VHOST_ACCESS_WO, vring_avail_size, vring_desc_table_size, vring_used_size } from '@vdpalab/uapi';
import { ExtentCache, splitAreasFault } from '@vdpalab/vring';
import type { RingArea, SplitRingAddresses, SplitRingAreas, Translate } from '@vdpalab/vring';

const TWO_32 = 0x1_0000_0000;

/** Looks areas up; the answer to the last question is in its fields. */
export class RingFinder {
  /** Where the areas lie when each is in one piece and aligned for words; `null` when one is not. */
  areas: SplitRingAreas | null = null;
  /** Whether a part of an area is a mirror of remote memory. */
  remote = false;
  /** Whether a part of an area is memory that another process has mapped too. */
  shared = false;
  /** Why an area is out of reach. */
  fault = '';
  private readonly extent: ExtentCache;

  constructor(translate: Translate) {
    this.extent = new ExtentCache(translate);
  }

  /** Look all areas up, to their last byte. @returns false when one is out of reach, and {@link fault} says which */
  find({ num, desc, avail, used }: SplitRingAddresses): boolean {
    this.areas = null;
    this.remote = false;
    this.shared = false;
    this.fault = '';
    const descArea = this.area('descriptor table', desc, vring_desc_table_size(num), VHOST_ACCESS_RO);
    const availArea = this.fault === '' ? this.area('available ring', avail, vring_avail_size(num), VHOST_ACCESS_RO) : null;
    const usedArea = this.fault === '' ? this.area('used ring', used, vring_used_size(num), VHOST_ACCESS_WO) : null;
    if (this.fault !== '') return false;
    if (descArea !== null && availArea !== null && usedArea !== null) {
      const areas = { num, desc: descArea, avail: availArea, used: usedArea };
      if (splitAreasFault(areas) === null) this.areas = areas;
    }
    return true;
  }

  private area(name: string, address: number, size: number, want: number): RingArea | null {
    const { extent } = this;
    let place: RingArea | null = null;
    for (let done = 0; done < size; ) {
      const at = address + done;
      const n = Number.isSafeInteger(at) ? extent.reach(at >>> 0, Math.floor(at / TWO_32), size - done, want) : 0;
      if (n === 0) {
        this.fault = `${name}: ${size} bytes at 0x${address.toString(16)}, of which ${done} can be reached`;
        return null;
      }
      const { remote, kind } = extent.memory as RamRegion; // a port finds no other
      if (remote !== null) this.remote = true;
      if (kind === 'mapped') this.shared = true;
      if (n === size) place = { memory: extent.memory!, offset: extent.at }; // reach found bytes there
      done += n;
    }
    return place;
  }
}
